//! OPAQUE's server: what a browser sends is parsed, a record is checked, two steps of signing in are computed.
//!
//! No I/O. The browser's library can't set a context, so both sides leave it empty, and our label is the server's
//! identifier. The credential identifier is the reader's address, not the account's id: with an id, the evaluation of one
//! blinded passphrase would change at the moment of enrolment and tell a stranger that there is an account now. The price is
//! that a registration evaluates the same function as a sign-in, so registrations are counted too.
//!
//! Security: messages are a stranger's bytes; lengths are exact here, because the library ignores what follows. An address
//! without an account gets a record that is made up, and the same steps. Passphrases never come here, nor what is derived
//! from them.
//! Standards: RFC 9807 with Ristretto255 and SHA-512, TripleDH.

use opaque_ke::{Identifiers, ServerLogin, ServerLoginParameters, ServerSetup};
use sealpost_vault::Identity;
use sealpost_vault::id::NoRandomness;
use zeroize::Zeroizing;

use crate::keyring::{OpaqueSuite as Suite, Randomness};

/// The server's identifier: whoever speaks another version doesn't understand us.
pub const SERVER: &[u8] = b"sealpost/v1/opaque";

const REGISTRATION_REQUEST: usize = 32;
const RECORD: usize = 192;
const CREDENTIAL_REQUEST: usize = 96;
const FINALIZATION: usize = 64;

/// Why nothing comes of a message.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OpaqueError {
    #[error("a message of another length")]
    Length,
    #[error("a message that the library refuses")]
    Message,
    #[error("the server's set-up is damaged")]
    Setup,
    #[error("a kept record or state is damaged")]
    Kept,
    #[error("the passphrase is another one")]
    Wrong,
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

fn exactly<const N: usize>(bytes: &[u8]) -> Result<&[u8; N], OpaqueError> {
    bytes.try_into().map_err(|_| OpaqueError::Length)
}

/// First message of a registration.
pub struct RegistrationRequest(opaque_ke::RegistrationRequest<Suite>);

impl RegistrationRequest {
    pub fn parse(bytes: &[u8]) -> Result<Self, OpaqueError> {
        let bytes = exactly::<REGISTRATION_REQUEST>(bytes)?;
        opaque_ke::RegistrationRequest::deserialize(bytes).map(Self).map_err(|_| OpaqueError::Message)
    }
}

/// What a passphrase is checked with, as the browser uploads it and the gateway keeps it.
pub struct Record(opaque_ke::ServerRegistration<Suite>);

impl Record {
    pub fn parse(bytes: &[u8]) -> Result<Self, OpaqueError> {
        let bytes = exactly::<RECORD>(bytes)?;
        opaque_ke::ServerRegistration::deserialize(bytes).map(Self).map_err(|_| OpaqueError::Message)
    }
}

/// First message of a sign-in.
pub struct CredentialRequest(opaque_ke::CredentialRequest<Suite>);

impl CredentialRequest {
    pub fn parse(bytes: &[u8]) -> Result<Self, OpaqueError> {
        let bytes = exactly::<CREDENTIAL_REQUEST>(bytes)?;
        opaque_ke::CredentialRequest::deserialize(bytes).map(Self).map_err(|_| OpaqueError::Message)
    }
}

/// Second message of a sign-in: only who knows the passphrase can make it.
pub struct Finalization(opaque_ke::CredentialFinalization<Suite>);

impl Finalization {
    pub fn parse(bytes: &[u8]) -> Result<Self, OpaqueError> {
        let bytes = exactly::<FINALIZATION>(bytes)?;
        opaque_ke::CredentialFinalization::deserialize(bytes).map(Self).map_err(|_| OpaqueError::Message)
    }
}

/// A sign-in after its first step.
pub struct Begun {
    /// For the browser: 320 bytes.
    pub response: Vec<u8>,
    /// For ourselves, until the second step.
    pub state: Zeroizing<Vec<u8>>,
}

/// The server, with its keys.
pub struct Server(ServerSetup<Suite>);

impl Server {
    /// From the serialized set-up.
    pub fn new(setup: &[u8]) -> Result<Self, OpaqueError> {
        ServerSetup::deserialize(setup).map(Self).map_err(|_| OpaqueError::Setup)
    }

    /// The answer to a registration request.
    pub fn register(&self, reader: &Identity, request: RegistrationRequest) -> Result<Vec<u8>, OpaqueError> {
        opaque_ke::ServerRegistration::<Suite>::start(&self.0, request.0, reader.as_str().as_bytes())
            .map(|started| started.message.serialize().to_vec())
            .map_err(|_| OpaqueError::Message)
    }

    /// First step of signing in; without a record one is made up.
    pub fn begin(
        &self,
        reader: &Identity,
        record: Option<Record>,
        request: CredentialRequest,
    ) -> Result<Begun, OpaqueError> {
        let record = record.map(|record| record.0);
        let started = ServerLogin::start(
            &mut Randomness::new()?,
            &self.0,
            record,
            request.0,
            reader.as_str().as_bytes(),
            parameters(),
        )
        .map_err(|_| OpaqueError::Message)?;
        Ok(Begun {
            response: started.message.serialize().to_vec(),
            state: Zeroizing::new(started.state.serialize().to_vec()),
        })
    }
}

/// Second step of signing in: whether the browser knew the passphrase.
pub fn end(state: &[u8], finalization: Finalization) -> Result<(), OpaqueError> {
    let state = ServerLogin::<Suite>::deserialize(state).map_err(|_| OpaqueError::Kept)?;
    state.finish(finalization.0, parameters()).map(|_| ()).map_err(|_| OpaqueError::Wrong)
}

fn parameters() -> ServerLoginParameters<'static, 'static> {
    ServerLoginParameters { context: None, identifiers: Identifiers { client: None, server: Some(SERVER) } }
}

#[cfg(test)]
mod tests {
    use opaque_ke::{
        ClientLogin, ClientLoginFinishParameters, ClientLoginStartResult, ClientRegistration,
        ClientRegistrationFinishParameters, CredentialResponse, RegistrationResponse,
    };

    use super::*;

    fn server() -> Server {
        Server(ServerSetup::new(&mut Randomness::new().unwrap()))
    }

    fn reader(text: &str) -> Identity {
        Identity::from_stored(text.into())
    }

    fn identifiers() -> Identifiers<'static> {
        Identifiers { client: None, server: Some(SERVER) }
    }

    /// Little memory: what is tested is the server, which never stretches.
    fn quick() -> opaque_ke::argon2::Argon2<'static> {
        let params = opaque_ke::argon2::Params::new(8, 1, 1, None).unwrap();
        opaque_ke::argon2::Argon2::new(Default::default(), Default::default(), params)
    }

    fn registered(server: &Server, reader: &Identity, passphrase: &[u8]) -> Vec<u8> {
        let started = ClientRegistration::<Suite>::start(&mut Randomness::new().unwrap(), passphrase).unwrap();
        let request = RegistrationRequest::parse(&started.message.serialize()).unwrap();
        let response = server.register(reader, request).unwrap();
        assert_eq!(response.len(), 64);
        let (ksf, response) = (quick(), RegistrationResponse::deserialize(&response).unwrap());
        let parameters = ClientRegistrationFinishParameters::new(identifiers(), Some(&ksf));
        let finished = started.state.finish(&mut Randomness::new().unwrap(), passphrase, response, parameters).unwrap();
        finished.message.serialize().to_vec()
    }

    fn asks(passphrase: &[u8]) -> ClientLoginStartResult<Suite> {
        ClientLogin::<Suite>::start(&mut Randomness::new().unwrap(), passphrase).unwrap()
    }

    fn answers(asked: ClientLoginStartResult<Suite>, passphrase: &[u8], response: &[u8]) -> Option<Vec<u8>> {
        let (ksf, response) = (quick(), CredentialResponse::deserialize(response).unwrap());
        let parameters = ClientLoginFinishParameters::new(None, identifiers(), Some(&ksf));
        let finished = asked.state.finish(&mut Randomness::new().unwrap(), passphrase, response, parameters).ok()?;
        Some(finished.message.serialize().to_vec())
    }

    #[test]
    fn the_passphrase_and_no_other_signs_in() {
        let (server, anna) = (server(), reader("anna@home.example"));
        let record = registered(&server, &anna, b"correct horse battery");
        for (passphrase, record, whose, knows) in [
            (b"correct horse battery".as_slice(), Some(&record), "anna@home.example", true),
            (b"correct horse batterz", Some(&record), "anna@home.example", false),
            (b"correct horse battery", None, "anna@home.example", false),
            // A record that was moved to another address doesn't open there.
            (b"correct horse battery", Some(&record), "ben@home.example", false),
        ] {
            let asked = asks(passphrase);
            let request = CredentialRequest::parse(&asked.message.serialize()).unwrap();
            let record = record.map(|bytes| Record::parse(bytes).unwrap());
            let begun = server.begin(&reader(whose), record, request).unwrap();
            assert_eq!(begun.response.len(), 320);
            let finalization = answers(asked, passphrase, &begun.response);
            assert_eq!(finalization.is_some(), knows, "{whose}");
            if let Some(finalization) = finalization {
                let other =
                    server.begin(&anna, None, CredentialRequest::parse(&asks(b"x").message.serialize()).unwrap());
                let parsed = || Finalization::parse(&finalization).unwrap();
                assert_eq!(end(&begun.state, parsed()), Ok(()));
                assert_eq!(end(&other.unwrap().state, parsed()), Err(OpaqueError::Wrong));
                assert_eq!(end(b"", parsed()), Err(OpaqueError::Kept));
            }
        }
    }

    #[test]
    fn states_of_strangers_and_readers_are_alike() {
        let (server, anna) = (server(), reader("anna@home.example"));
        let record = registered(&server, &anna, b"correct horse battery");
        let begin = |record| {
            server.begin(&anna, record, CredentialRequest::parse(&asks(b"x").message.serialize()).unwrap()).unwrap()
        };
        let (known, unknown) = (begin(Some(Record::parse(&record).unwrap())), begin(None));
        assert_eq!(known.response.len(), unknown.response.len());
        assert_eq!(known.state.len(), unknown.state.len());
        // One blinded passphrase is evaluated alike before and after enrolment: the first 32 bytes.
        let asked = asks(b"x").message.serialize();
        let evaluated = |record| {
            let begun = server.begin(&anna, record, CredentialRequest::parse(&asked).unwrap()).unwrap();
            begun.response.get(..32).unwrap().to_vec()
        };
        assert_eq!(evaluated(None), evaluated(Some(Record::parse(&record).unwrap())));
    }

    #[test]
    fn messages_of_other_lengths_and_bytes_are_refused() {
        let valid = asks(b"x").message.serialize().to_vec();
        for length in 0..400 {
            for byte in [0x00, 0x01, 0x7f, 0xff] {
                let bytes = vec![byte; length];
                assert!(RegistrationRequest::parse(&bytes).is_err(), "{byte} x {length}");
                assert!(CredentialRequest::parse(&bytes).is_err(), "{byte} x {length}");
                // Any 64 bytes can be a MAC, and be wrong; of a record only the key is looked at.
                assert_eq!(Finalization::parse(&bytes).is_ok(), length == FINALIZATION);
                assert!(Record::parse(&bytes).is_err(), "{byte} x {length}");
            }
            let cut_or_longer: Vec<u8> = valid.iter().copied().chain(std::iter::repeat(0)).take(length).collect();
            assert_eq!(CredentialRequest::parse(&cut_or_longer).is_ok(), length == CREDENTIAL_REQUEST);
        }
    }
}
