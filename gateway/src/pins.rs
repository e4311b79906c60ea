//! Pins: which certificate belongs to which address, as the organisation vouched for it.
