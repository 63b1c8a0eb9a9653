//! A hotel of the tests of scopes.

use posada::auth::{Claims, NewUser, Role, SignIn};
use posada::tenants::NewTenant;
use posada::{Posada, TenantId};
use posada_tests::unique;

pub(crate) const GUEST: &str = "5491187654321";
pub(crate) const PASSWORD: &str = "el loro pinta mapas de cobre";

/// A hotel with a number, a conversation and a user.
pub(crate) struct Hotel {
    pub(crate) id: TenantId,
    pub(crate) number: String,
    pub(crate) username: String,
    pub(crate) user: String,
}

impl Hotel {
    pub(crate) async fn open(posada: &Posada, number: u32) -> Self {
        let slug = unique("scope");
        let (id, username) = (TenantId::parse(&slug).unwrap(), format!("ana-{slug}"));
        let new = NewTenant::new(&slug, "Hotel Costanera").unwrap();
        posada.tenants().create(new).await.unwrap();
        let digits: String = slug.chars().filter(char::is_ascii_digit).collect();
        let number = format!("+5491{number}{:0>8}", &digits[digits.len().saturating_sub(8)..]);
        posada.tenants().add_identifier(&id, &number, None).await.unwrap();
        posada
            .sessions()
            .get_or_create(&id, GUEST, "whatsapp")
            .await
            .unwrap();
        let ana = NewUser::new(&username, &format!("{username}@example.com"), PASSWORD).unwrap();
        let ana = ana.tenant(&id).role(Role::Manager);
        let user = posada.auth().create_user(ana).await.unwrap().id;
        Self {
            id,
            number,
            username,
            user,
        }
    }

    pub(crate) fn sign_in(&self) -> SignIn {
        SignIn::new(&self.username, PASSWORD)
    }

    pub(crate) async fn claims(&self, posada: &Posada) -> (String, String, Claims) {
        let tokens = posada.auth().login(&self.sign_in()).await.unwrap();
        let claims = posada.auth().verify(&tokens.access).await.unwrap();
        (tokens.access, tokens.refresh, claims)
    }
}
