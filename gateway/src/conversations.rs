//! Conversations: letters and replies that belong together, and the reply address that leads into one.
//!
//! A conversation has one reply address per reader. It is accepted only from inside, and only from the sender who began it
//! or somebody of the same domain.

use sealpost_vault::clock::Time;
use sealpost_vault::db::{Db, Kind, Rows, Statement, StoreError};
use sealpost_vault::id::{ConversationId, Token};
use sealpost_vault::{EmailAddress, Identity};

/// Most Message-IDs named in References.
const MOST_REFERENCES: i64 = 20;

/// A longer Message-ID would stand on a line of more than 998 octets (RFC 5322 2.1.1), and no index would take it.
const LONGEST: usize = 998;

/// One reader's side of a conversation.
#[derive(Clone, Debug)]
pub struct Conversation {
    pub conversation_id: ConversationId,
    pub reader: Identity,
    pub token: Token,
    /// Who began it.
    pub sender: EmailAddress,
    /// The reader's address as mail is delivered to it.
    pub delivery: EmailAddress,
}

impl Conversation {
    /// Whether mail to its reply address may come from `from`: the sender, or a colleague of the same domain.
    pub fn admits(&self, from: &EmailAddress) -> bool {
        from.domain() == self.sender.domain()
    }
}

static SIDES: Statement = Statement {
    order: 10,
    kind: Kind::InsertNew {
        into: "conversations (conversation_id, reader, token, sender, delivery, created_at)",
        row: "(?, ?, ?, ?, ?, ?)",
        unique: "conversation_id, reader",
    },
};
static MESSAGES: Statement = Statement {
    order: 11,
    kind: Kind::Append {
        into: "conversation_messages (conversation_id, n, message_id)",
        row: "(?, (select coalesce(max(n), 0) + 1 from conversation_messages where conversation_id = ?), ?)",
    },
};

type Row = (String, String, String, String, String);

fn from_row((id, reader, token, sender, delivery): Row) -> Result<Conversation, StoreError> {
    Ok(Conversation {
        conversation_id: id.parse()?,
        reader: Identity::from_stored(reader),
        token: token.parse()?,
        sender: sender.parse().map_err(|_| StoreError::Corrupt("a sender's address"))?,
        delivery: delivery.parse().map_err(|_| StoreError::Corrupt("a delivery address"))?,
    })
}

/// By the token of its reply address.
pub async fn by_token(store: &Db, token: Token) -> Result<Option<Conversation>, StoreError> {
    let row: Option<Row> =
        sqlx::query_as("select conversation_id, reader, token, sender, delivery from conversations where token = $1")
            .bind(token.to_string())
            .fetch_optional(store.reader())
            .await?;
    row.map(from_row).transpose()
}

/// One reader's side of a conversation, if there is one.
pub async fn find(store: &Db, id: ConversationId, reader: &Identity) -> Result<Option<Conversation>, StoreError> {
    let row: Option<Row> = sqlx::query_as(
        "select conversation_id, reader, token, sender, delivery from conversations where conversation_id = $1 and reader = $2",
    )
    .bind(id.to_string())
    .bind(reader.as_str())
    .fetch_optional(store.reader())
    .await?;
    row.map(from_row).transpose()
}

/// The conversation that a new mail of `sender` to `reader` continues: one of its Message-IDs is named in `references`.
pub async fn continued(
    store: &Db,
    references: &[String],
    sender: &EmailAddress,
    reader: &Identity,
) -> Result<Option<ConversationId>, StoreError> {
    for message_id in references.iter().rev().take(20) {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "select c.conversation_id, c.sender from conversations c
             join conversation_messages m on m.conversation_id = c.conversation_id
             where m.message_id = $1 and c.reader = $2",
        )
        .bind(message_id)
        .bind(reader.as_str())
        .fetch_all(store.reader())
        .await?;
        for (id, began) in rows {
            let began: EmailAddress = began.parse().map_err(|_| StoreError::Corrupt("a sender's address"))?;
            if began.identity() == sender.identity() {
                return Ok(Some(id.parse()?));
            }
        }
    }
    Ok(None)
}

/// Begins one reader's side; one that exists already stays as it is.
pub(crate) fn begin(rows: &mut Rows, conversation: &Conversation, now: Time) {
    rows.push(
        &SIDES,
        [
            conversation.conversation_id.to_string().into(),
            conversation.reader.as_str().into(),
            conversation.token.to_string().into(),
            conversation.sender.to_string().into(),
            conversation.delivery.to_string().into(),
            now.into(),
        ],
    );
}

/// Adds a Message-ID (without angle brackets) at the end; not one of a length that no Message-ID has.
pub(crate) fn add_message(rows: &mut Rows, id: ConversationId, message_id: &str) {
    if message_id.len() > LONGEST {
        return;
    }
    let id = id.to_string();
    rows.push(&MESSAGES, [id.as_str().into(), id.as_str().into(), message_id.into()]);
}

/// Its Message-IDs, oldest first: the first one and the latest (RFC 5322 3.6.4 lets the middle be dropped).
pub async fn references(store: &Db, id: ConversationId) -> Result<Vec<String>, StoreError> {
    let rows: Vec<(String,)> = sqlx::query_as(
        "select message_id from conversation_messages where conversation_id = $1
         and (n = 1 or n > (select max(n) from conversation_messages where conversation_id = $2) - $3)
         order by n",
    )
    .bind(id.to_string())
    .bind(id.to_string())
    .bind(MOST_REFERENCES)
    .fetch_all(store.reader())
    .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}
