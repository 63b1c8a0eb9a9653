//! Refreshes that race the end of their session, a thousand times, each time in another order.

use super::*;
use crate::testkit::Dice;
use crate::testkit::auth_history::race;

/// A thousand sessions, each ended in another way while four clients refresh and look. Between any two steps of a
/// call the others may get their turn, as the dice say.
#[tokio::test]
async fn cases_73_and_74_in_a_thousand_random_races_the_end_of_a_session_wins() {
    let fixture = Fixture::new();
    let ana = NewUser::new("ana", "ana@example.com", PASSWORD).unwrap();
    let ana = fixture.auth.create_user(ana).await.unwrap();
    let owner = Owner {
        user: ana.id.clone(),
        tenant: None,
    };
    let mut dice = Dice::new(0x5DEE_CE66_D1CE_4E5B);
    let (mut in_time, mut too_late) = (0, 0);
    for run in 0..1000_u32 {
        let stored = fixture.auth.0.store.user(&owner).await.unwrap().unwrap();
        let pair = fixture.auth.begin(&stored.user, None).await.unwrap().unwrap();
        let claims = fixture.auth.verify(&pair.access).await.unwrap();
        fixture.postgres.shuffle(&mut dice);
        let end = async {
            match run % 4 {
                0 => fixture.auth.logout(&pair.access).await,
                1 => fixture.auth.logout_everywhere(&claims, false).await.map(drop),
                2 => fixture
                    .auth
                    .logout_session(&claims, &pair.session)
                    .await
                    .map(drop),
                _ => change_without_hashing(&fixture.auth, &stored).await,
            }
        };
        let given = race(&[&fixture.auth], &pair, &mut dice, end).await;
        fixture.postgres.sort();
        *(if given > 0 { &mut in_time } else { &mut too_late }) += 1;
    }
    assert!(
        in_time > 100 && too_late > 10,
        "{in_time} races were close, {too_late} not"
    );
}

/// What a change of the password does once the hashes are computed.
async fn change_without_hashing(auth: &Authenticator, stored: &StoredUser) -> Result<()> {
    let change = PasswordChange {
        owner: stored.owner(),
        old_hash: stored.hash.clone(),
        new_hash: format!("{}.", stored.hash),
        must_change: false,
        now: stored.user.password_changed_at + chrono::Duration::milliseconds(1),
        history: 1,
    };
    let ended = auth
        .0
        .store
        .change_password(&change)
        .await?
        .expect("nobody was faster");
    auth.note_ended(&ended).await;
    Ok(())
}

#[tokio::test]
async fn the_races_find_a_session_that_comes_back() {
    let fixture = Fixture::new();
    let pair = fixture.ana().await;
    #[allow(clippy::disallowed_methods, reason = "a panic that is expected")]
    let outcome = tokio::spawn(async move {
        let end = async { Ok(()) };
        race(&[&fixture.auth], &pair, &mut Dice::new(3), end).await
    });
    assert!(
        outcome.await.unwrap_err().is_panic(),
        "an end that ends nothing must be noticed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn case_73_on_several_threads_a_logout_always_wins() {
    let fixture = Fixture::new();
    let ana = without_a_password(&fixture).await;
    let (mut early, mut late) = (0, 0);
    for run in 0..300_u32 {
        let pair = fixture.auth.begin(&ana, None).await.unwrap().unwrap();
        let spawn = |work: std::pin::Pin<Box<dyn Future<Output = bool> + Send>>| {
            #[allow(clippy::disallowed_methods, reason = "a race needs tasks")]
            tokio::spawn(work)
        };
        let ended = Arc::new(AtomicBool::new(false));
        let (auth, flag, access) = (fixture.auth.clone(), ended.clone(), pair.access.clone());
        let logout = spawn(Box::pin(async move {
            let done = auth.logout(&access).await.is_ok();
            flag.store(true, Ordering::SeqCst);
            done
        }));
        let refreshes: Vec<_> = (0..3)
            .map(|_| {
                let (auth, flag, pair) = (fixture.auth.clone(), ended.clone(), pair.clone());
                spawn(Box::pin(async move {
                    let begun_after = flag.load(Ordering::SeqCst);
                    let refreshed = auth.refresh(&pair.refresh).await.is_ok();
                    let verified_after =
                        flag.load(Ordering::SeqCst) && auth.verify(&pair.access).await.is_ok();
                    assert!(
                        !(begun_after && refreshed),
                        "a refresh that began after the logout succeeded"
                    );
                    assert!(
                        !verified_after,
                        "a verification that began after the logout succeeded"
                    );
                    refreshed
                }))
            })
            .collect();
        assert!(logout.await.unwrap(), "run {run}");
        let mut was_early = false;
        for refresh in refreshes {
            was_early |= refresh.await.unwrap();
        }
        *(if was_early { &mut early } else { &mut late }) += 1;
        assert!(
            fixture.auth.verify(&pair.access).await.is_err(),
            "run {run}: it is over"
        );
    }
    assert_eq!(early + late, 300);
}
