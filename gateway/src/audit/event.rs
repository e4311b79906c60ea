//! Events: what can be recorded, one variant per kind.
//!
//! Security: the types keep out what doesn't belong: ids, checked addresses, fingerprints, names of rules and words of our
//! own (`&'static str` and small enums). A text of somebody else's has no field to go into.

use serde::Serialize;

use sealpost_vault::id::{AccountId, ConversationId, ErrandId, LetterId, PickupId, QueueId, ReplyId};
use sealpost_vault::{EmailAddress, Identity};

/// What happened. `kind` in the record is the variant's name in kebab case.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Event<'a> {
    // --- the program ---
    GatewayStarted {
        version: &'static str,
    },
    GatewayStopped,

    // --- mail ---
    /// Taken over: `250` was answered after this was committed. `from` is null for the null reverse path.
    Accepted {
        message: QueueId,
        from: Option<&'a EmailAddress>,
        recipients: Vec<Treated<'a>>,
    },
    /// Policy refused a message for this recipient, so all of it.
    RefusedByPolicy {
        message: QueueId,
        from: Option<&'a EmailAddress>,
        recipient: &'a EmailAddress,
        rule: &'a str,
    },
    /// Queued for this recipient as it came.
    Relayed {
        message: QueueId,
        recipient: &'a EmailAddress,
        rule: &'a str,
    },
    /// Queued for this recipient, encrypted to the certificate.
    Encrypted {
        message: QueueId,
        recipient: &'a EmailAddress,
        fingerprint: &'a str,
        rule: &'a str,
    },
    /// Not sent: the recipient's key was no longer usable, and no other way is allowed. The sender is told.
    Unsent {
        message: QueueId,
        recipient: &'a EmailAddress,
        rule: &'a str,
    },
    /// Sealed for this reader; the notification is queued.
    Held {
        message: QueueId,
        letter: LetterId,
        pickup: PickupId,
        conversation: ConversationId,
        sender: &'a EmailAddress,
        reader: &'a Identity,
        way: Way,
    },
    /// The next hop took it. `mail`: relayed, notification, code, answer, report.
    Delivered {
        row: QueueId,
        message: QueueId,
        mail: &'static str,
        recipient: &'a EmailAddress,
    },
    /// Given up for this recipient. `status` as RFC 3463.
    Failed {
        row: QueueId,
        message: QueueId,
        mail: &'static str,
        recipient: &'a EmailAddress,
        status: &'a str,
        cause: FailureCause,
    },

    // --- letters ---
    NotificationResent {
        pickup: PickupId,
        reader: &'a Identity,
    },
    /// The notification could not be delivered; the sender is told.
    NotificationReturned {
        pickup: PickupId,
    },
    /// A code was mailed. `code` names the errand, not the digits.
    CodeMailed {
        code: ErrandId,
        scope: &'static str,
        reader: &'a Identity,
        pickups: Vec<PickupId>,
        account: Option<AccountId>,
    },
    /// The portal says that it handed out the sealed letter.
    Released {
        pickup: PickupId,
    },
    /// The reader's browser proved that it opened the letter.
    Opened {
        pickup: PickupId,
        letter: LetterId,
        reader: &'a Identity,
        proof: Proof,
    },
    /// A reply was believed and queued for the sender.
    Answered {
        pickup: PickupId,
        reply: ReplyId,
        reader: &'a Identity,
        sender: &'a EmailAddress,
        proof: Proof,
    },
    /// The link no longer opens the letter: share and key packet are destroyed; the account does.
    LinkEnded {
        pickup: PickupId,
        reader: &'a Identity,
    },
    Withdrawn {
        pickup: PickupId,
        letter: LetterId,
        reader: &'a Identity,
    },
    Expired {
        pickup: PickupId,
        letter: LetterId,
        reader: &'a Identity,
        read: LetterRead,
    },
    /// What somebody said in a reader's name was not believed. The same, again within an hour, is in the log only.
    StatementRefused {
        statement: Statement,
        pickup: Option<PickupId>,
        account: Option<AccountId>,
        why: &'static str,
    },

    // --- accounts ---
    Enrolled {
        reader: &'a Identity,
        account: AccountId,
        pickup: PickupId,
        fingerprint: &'a str,
        counter: i64,
    },
    /// An enrolment of an address that is pinned already.
    EnrolmentConflict {
        reader: &'a Identity,
        account: AccountId,
        pickup: PickupId,
    },
    /// A letter's session key was wrapped for the reader's certificate.
    Rewrapped {
        pickup: PickupId,
        reader: &'a Identity,
        account: AccountId,
    },
    SignedIn {
        reader: &'a Identity,
        account: AccountId,
        how: How,
    },
    /// Also for addresses without an account.
    SignInFailed {
        address: &'a Identity,
        how: How,
    },
    /// Put off: too many failures. Further tries at the address within an hour are in the counters only.
    SignInDelayed {
        address: &'a Identity,
        how: How,
    },
    SignedOut {
        account: AccountId,
    },
    /// `changes` counts up from 0 at enrolment.
    PassphraseChanged {
        reader: &'a Identity,
        account: AccountId,
        changes: i64,
        recovery: Recovery,
    },
    /// By administration: the address is free for another enrolment.
    AccountReset {
        reader: &'a Identity,
        account: AccountId,
        counter: i64,
    },

    // --- keys ---
    CertificateImported {
        address: &'a EmailAddress,
        fingerprint: &'a str,
    },
    CertificateRemoved {
        address: &'a EmailAddress,
        fingerprint: &'a str,
    },
    /// `key`: which of the organisation's, in a word of ours; `fingerprint`: of what is new, or empty.
    KeyRotated {
        key: &'static str,
        fingerprint: &'a str,
    },
    /// The gateway's own store was used with keys of this generation for the first time.
    KeysTakenUp {
        generation: u64,
    },
    /// The organisation's primary key was taken out into a file.
    PrimaryDetached,
    KeysBackedUp,
    KeysRestored,

    // --- administration ---
    /// An order to the queue; `of`: one id, or null for everything.
    QueueOrdered {
        order: Order,
        of: Option<QueueId>,
        rows: u64,
    },
    /// Deleted undelivered, by an order.
    QueueDeleted {
        row: QueueId,
        message: QueueId,
        mail: &'static str,
        recipient: &'a EmailAddress,
    },
    /// An accepted message was deleted from the spool, by an order.
    SpoolDeleted {
        message: QueueId,
    },
}

/// What was decided for one recipient. `rule` is empty where no rule was asked; the recipient is null where the address is
/// one of the gateway's own, whose token is nobody's business.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Treated<'a> {
    pub recipient: Option<&'a EmailAddress>,
    pub treatment: Treatment,
    pub rule: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Treatment {
    /// As it came.
    Relay,
    /// To the recipient's OpenPGP certificate.
    Encrypt,
    /// A new letter.
    Hold,
    /// A letter in its conversation.
    Continue,
    /// Came to a notification's return address.
    Return,
    /// An automatic answer: goes nowhere.
    Drop,
}

/// How a letter is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    Link,
    Account,
}

/// Why a statement of a reader was believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// MACed with the voice key: the reader held the link.
    Voice,
    /// Signed by the pinned certificate.
    Signature,
}

/// What a reader, or somebody in the reader's name, can state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Statement {
    Opened,
    Reply,
    Enrolment,
    Rewrap,
    Change,
}

/// Which secret was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    Passphrase,
    /// Code by mail and recovery code.
    Recovery,
}

/// What became of the recovery code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recovery {
    Kept,
    Renewed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LetterRead {
    Opened,
    Unread,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureCause {
    /// The next hop said never.
    Refused,
    /// Not now, until the lifetime was over.
    Expired,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    Retry,
    Hold,
    Release,
}
