//! Certificates of recipients: imported, looked up, judged usable or not, and why.
