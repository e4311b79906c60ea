//! `GET /api/account/letters`: the reader's sealed letters, newest first, a page at a time.

use axum::Json as Answered;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use sealpost_vault::accounts::{self, After};
use sealpost_vault::clock::Time;
use sealpost_vault::errands::Bytes;
use sealpost_vault::id::{ConversationId, LetterId, PickupId};
use sealpost_vault::letters::certificate;
use serde::{Deserialize, Serialize};

use crate::Portal;
use crate::error::Error;
use crate::visitor::Visitor;

/// Most letters of a page.
pub(super) const PAGE: i64 = 30;
/// A page ends when its slips have so many bytes.
pub(super) const PAGE_BYTES: usize = 1024 * 1024;

#[derive(Deserialize)]
pub struct Wanted {
    after: Option<String>,
}

impl Wanted {
    /// A cursor is a time and an id.
    pub(super) fn cursor<Id: std::str::FromStr>(&self) -> Result<Option<(Time, Id)>, Error> {
        let Some(text) = self.after.as_deref().filter(|text| !text.is_empty()) else { return Ok(None) };
        let (time, id) = text.split_once('.').ok_or(Error::BadRequest)?;
        let time = time.parse().map_err(|_| Error::BadRequest)?;
        Ok(Some((time, id.parse().map_err(|_| Error::BadRequest)?)))
    }
}

/// So many of the slips fit one page, the first in any case.
pub(super) fn fitting<'a>(slips: impl Iterator<Item = &'a [u8]>) -> usize {
    let mut bytes = 0_usize;
    let fits = |(n, slip): &(usize, &[u8])| {
        bytes = bytes.saturating_add(slip.len());
        *n == 0 || bytes <= PAGE_BYTES
    };
    slips.take(usize::try_from(PAGE).unwrap_or(usize::MAX)).enumerate().take_while(fits).count()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Letter {
    pickup: PickupId,
    letter: LetterId,
    conversation: ConversationId,
    organisation: String,
    /// The organisation's, where it isn't the account's.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<Bytes>,
    /// None where only the link opens it.
    key_packet: Option<Bytes>,
    slip: Bytes,
    /// Stored sizes, in bytes.
    parts: Vec<i64>,
    created: Time,
    expires: Time,
}

#[derive(Serialize)]
struct Page {
    letters: Vec<Letter>,
    /// Where the next page begins; none where this is the last.
    next: Option<String>,
}

pub async fn letters(
    State(portal): State<Portal>,
    visitor: Visitor,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Error> {
    let signed_in = visitor.must_be_signed_in(&portal).await?;
    let Query(wanted) = wanted.map_err(|_| Error::BadRequest)?;
    let after = wanted.cursor()?.map(|(created_at, pickup_id)| After { created_at, pickup_id });
    let now = portal.clock.now();
    let account = accounts::account(&portal.vault, signed_in.account).await?.ok_or(Error::SignIn)?;
    let mut found = accounts::letters_of(&portal.vault, signed_in.account, after, PAGE.saturating_add(1), now).await?;
    let fitting = fitting(found.iter().map(|letter| letter.slip.as_slice()));
    let more = found.len() > fitting;
    found.truncate(fitting);
    let next = found.last().filter(|_| more).map(|last| format!("{}.{}", last.created_at, last.pickup_id));
    let mut letters = Vec::with_capacity(found.len());
    for letter in found {
        let certificate = if letter.organisation == account.organisation {
            None
        } else {
            certificate(&portal.vault, &letter.organisation).await?.map(Bytes)
        };
        letters.push(Letter {
            pickup: letter.pickup_id,
            letter: letter.letter_id,
            conversation: letter.conversation_id,
            organisation: letter.organisation,
            certificate,
            key_packet: letter.key_packet.map(Bytes),
            slip: Bytes(letter.slip),
            parts: letter.part_sizes,
            created: letter.created_at,
            expires: letter.expires_at,
        });
    }
    Ok(Answered(Page { letters, next }).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_bounded_and_never_empty() {
        let fitting = |sizes: &[usize]| {
            let slips: Vec<Vec<u8>> = sizes.iter().map(|size| vec![0; *size]).collect();
            super::fitting(slips.iter().map(Vec::as_slice))
        };
        assert_eq!(fitting(&[]), 0);
        assert_eq!(fitting(&[4096; 31]), 30);
        assert_eq!(fitting(&[PAGE_BYTES + 1, 1]), 1);
        assert_eq!(fitting(&[PAGE_BYTES / 2, PAGE_BYTES / 2, 1]), 2);
    }

    #[test]
    fn cursors_come_back_and_nonsense_is_refused() {
        let cursor = |text: &str| Wanted { after: Some(text.to_owned()) }.cursor::<PickupId>();
        let id = PickupId::random().unwrap();
        assert_eq!(cursor(&format!("1800000000.{id}")), Ok(Some((1_800_000_000, id))));
        assert_eq!(cursor(""), Ok(None));
        for text in
            ["1", "1.", ".", "x.00000000000000000000000000", "1.0", "99999999999999999999.00000000000000000000000000"]
        {
            assert_eq!(cursor(text), Err(Error::BadRequest), "{text}");
        }
    }
}
