//! A reader at a browser: what a patient does with a notification.

use std::path::Path;

use thirtyfour::prelude::*;

use crate::browser::Browser;
use crate::maildir::Mail;
use crate::world::{READER, World, code_in, is_code};

impl Browser {
    pub async fn click(&self, id: &str) {
        let element = self.driver().find(By::Id(id)).await.unwrap_or_else(|cause| panic!("#{id}: {cause}"));
        element.scroll_into_view().await.unwrap();
        element.click().await.unwrap_or_else(|cause| panic!("#{id}: {cause}"));
    }

    pub async fn type_into(&self, id: &str, text: &str) {
        self.driver().find(By::Id(id)).await.unwrap().send_keys(text).await.unwrap();
    }

    pub async fn choose_file(&self, id: &str, path: &Path) {
        self.driver().find(By::Id(id)).await.unwrap().send_keys(path.display().to_string()).await.unwrap();
    }

    pub async fn text_of(&self, id: &str) -> String {
        let script = format!("return document.getElementById('{id}').textContent");
        self.script(&script).await.as_str().unwrap_or_default().trim().to_owned()
    }

    /// Waits for a step of the page.
    pub async fn step(&self, name: &str) {
        self.until(&format!(
            "document.querySelector('[data-step=\"{name}\"]') && !document.querySelector('[data-step=\"{name}\"]').hidden"
        ))
        .await;
    }

    /// What is wrong with the page for people with a screen reader or a keyboard; the page as a picture.
    pub async fn look_at(&self, name: &str) {
        self.screenshot(name).await;
        let violations = self.axe().await;
        assert!(violations.is_empty(), "{name}: {violations:#?}");
    }

    /// Asks for a code, fetches it from the mailbox, types it.
    pub async fn prove_mailbox(&self, world: &World) -> Mail {
        let before = world.behind.maildir().of(READER).into_iter().filter(is_code).count();
        self.step("greeting").await;
        self.click("greeting-button").await;
        self.step("code").await;
        let mail = next_code(world, before).await;
        self.type_into("code", &code_in(&mail)).await;
        mail
    }

    /// From a link to the open letter.
    pub async fn read(&self, world: &World, link: &str) {
        self.driver().goto(link).await.unwrap();
        self.prove_mailbox(world).await;
        self.step("letter").await;
    }
}

/// The code mail after the first `before` ones.
pub async fn next_code(world: &World, before: usize) -> Mail {
    crate::patience::until("a code by mail", crate::world::MAIL, async || {
        world.behind.maildir().of(READER).into_iter().filter(is_code).nth(before)
    })
    .await
}
