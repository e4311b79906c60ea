//! What a sender asked to be told of his mail, as it is passed on to a next hop that knows DSN.
//!
//! Security: what was asked is text that was checked when it came in; it is written as xtext, so it can't become a command.
//! Standards: RFC 3461 4 and 5.2.1.

use sealpost_vault::EmailAddress;

use crate::envelope::{Charset, Dsn, RecipientDsn, Return, Xtext};

/// For one mail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    pub ret: Option<Return>,
    pub envid: Option<Xtext>,
    /// Of each recipient, in their order; who has none asked for nothing.
    pub recipients: Vec<RecipientDsn>,
    /// Whether the mail came as an internationalized one: where it needs to be one, it goes on as one or not at all.
    pub charset: Charset,
}

/// Whether the next hop has taken over what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It knows DSN and was told.
    Over,
    /// It doesn't: what is left to report is ours.
    Not,
}

impl Requests {
    /// What an envelope asks for these recipients.
    pub fn new(dsn: &Dsn, charset: Charset, recipients: &[EmailAddress]) -> Self {
        let recipients = recipients.iter().map(|recipient| dsn.of(recipient)).collect();
        Self { ret: dsn.ret, envid: dsn.envid.clone(), recipients, charset }
    }

    /// What MAIL says of them.
    pub(super) fn of_mail(&self) -> String {
        let ret = self.ret.map(|ret| format!(" RET={ret}")).unwrap_or_default();
        let envid = self.envid.as_ref().map(|envid| format!(" ENVID={envid}")).unwrap_or_default();
        ret + &envid
    }

    /// What RCPT says of the `n`th recipient's.
    pub(super) fn of_recipient(&self, n: usize) -> String {
        let Some(RecipientDsn { notify, orcpt }) = self.recipients.get(n) else { return String::new() };
        let notify = notify.map(|notify| format!(" NOTIFY={notify}")).unwrap_or_default();
        let orcpt = orcpt.as_ref().map(|orcpt| format!(" ORCPT={orcpt}")).unwrap_or_default();
        notify + &orcpt
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::{Notify, OriginalRecipient};

    #[test]
    fn what_is_passed_on() {
        let mut dsn = Dsn::default();
        (dsn.ret, dsn.envid) = (Some(Return::Headers), Some(Xtext::envid("a+2Bb").unwrap()));
        let recipients = ["a@x.example".parse().unwrap(), "b@x.example".parse().unwrap()];
        let orcpt = OriginalRecipient::parse("rfc822;b+2B@x.example").unwrap();
        dsn.set(&recipients[1], RecipientDsn { notify: Some(Notify::NEVER), orcpt: Some(orcpt) });
        let requests = Requests::new(&dsn, Charset::Ascii, &recipients);
        assert_eq!(requests.of_mail(), " RET=HDRS ENVID=a+2Bb");
        assert_eq!(requests.of_recipient(0), "");
        assert_eq!(requests.of_recipient(1), " NOTIFY=NEVER ORCPT=rfc822;b+2B@x.example");
        assert_eq!(requests.of_recipient(2), "");
        assert_eq!(Requests::default().of_mail(), "");
    }
}
