//! Which ways to reach the stores go together.

use crate::configuration::*;

fn load(store: &str) -> Result<Configuration, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sealpost.toml");
    let text = format!(
        r#"
        [organisation]
        name = "Klinik am See"
        telephone = "+49 30 5550100"
        portal = "https://post.klinik.example"
        [store]
        directory = "state"
        {store}
        [keys]
        directory = "keys"
        [smtp]
        listen = "127.0.0.1:2525"
        hostname = "sealpost.klinik.example"
        [portal]
        listen = "127.0.0.1:8080"
        [inside]
        domains = ["klinik.example"]
        next-hop = "127.0.0.1:10026"
        [outside]
        next-hop = "127.0.0.1:10026"
        [mail]
        from = "post@klinik.example"
        reply-domain = "reply.klinik.example"
        postmaster = "postmaster@klinik.example"
        "#
    );
    std::fs::write(&path, text).unwrap();
    Configuration::load(&path).map_err(|error| error.to_string())
}

const GATEWAY: &str = "vault-url = 'postgres://g@db/s'\ngateway-url = 'postgres://g@db/s'\n";

#[test]
fn each_door_gets_its_url() {
    let embedded = load("").unwrap();
    assert!(embedded.vault_url().starts_with("sqlite:") && !embedded.is_portals_alone());
    assert_eq!(embedded.portal_url(), embedded.vault_url());
    let one_role = load(GATEWAY).unwrap();
    assert_eq!(one_role.portal_url(), "postgres://g@db/s");
    assert_eq!(one_role.portal_role().unwrap(), None);
    let apart = load(&format!("{GATEWAY}portal-url = 'postgresql://p@db/s'\nportal-role = 'p'")).unwrap();
    assert_eq!((apart.vault_url(), apart.portal_url()), ("postgres://g@db/s".into(), "postgresql://p@db/s".into()));
    assert_eq!(apart.portal_role().unwrap(), Some(Role::new("p").unwrap()));
    // The gateway's host, where the portal is elsewhere; and elsewhere.
    load(&format!("{GATEWAY}portal-role = 'p'")).unwrap();
    let alone = load("portal-url = 'postgres://p@db/s'").unwrap();
    assert!(alone.is_portals_alone());
    assert_eq!(alone.portal_url(), "postgres://p@db/s");
}

#[test]
fn what_does_not_go_together_is_refused() {
    for (store, says) in [
        ("vault-url = 'postgres://g@db/s'", "go together"),
        ("portal-url = 'sqlite:/tmp/vault.db'", "store.portal-url must begin"),
        ("portal-role = 'p'", "store.portal-role needs store.vault-url"),
        ("portal-url = 'postgres://p@db/s'\nportal-role = 'p'", "store.portal-role needs store.vault-url"),
        // Two gateways with directories of their own could have one such file, and neither would know.
        ("vault-url = 'sqlite:/tmp/v'\ngateway-url = 'sqlite:/tmp/g'", "store.vault-url must begin"),
        ("vault-url = 'postgres://g@db/s'\ngateway-url = 'sqlite:/tmp/g'", "store.gateway-url must begin"),
        ("portal-role = 'a\"; drop'", "store.portal-role: a role's name"),
        ("portal-rol = 'p'", "did you mean `portal-role`?"),
    ] {
        let error = load(store).unwrap_err();
        assert!(error.contains(says), "{store}: {error}");
    }
}
