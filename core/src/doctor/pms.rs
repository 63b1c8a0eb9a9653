//! What the hotel's own system says when it is asked.

use super::codes;
use super::model::Finding;
use crate::error::{Error, codes as errors};
use crate::pms::{MissingPermission, PmsClient};
use crate::settings::QloAppsSettings;

/// Asks the QloApps server what our key may do, and for its hotels. Writes nothing.
pub(super) async fn examine_qloapps(pms: &PmsClient, server: &QloAppsSettings) -> Vec<Finding> {
    let missing = match pms.self_test().await {
        Ok(missing) => missing,
        Err(error) => return vec![failed(&error, server)],
    };
    let mut findings = vec![Finding::ok(
        codes::PMS_CONNECTION,
        format!("{} answers, and knows the key.", server.base_url),
    )];
    if missing.is_empty() {
        findings.push(Finding::ok(
            codes::PMS_PERMISSIONS,
            "The key sees every resource that posada needs.",
        ));
    }
    for lacking in &missing {
        findings.push(Finding::error(
            codes::PMS_PERMISSIONS,
            format!(
                "The key does not see {}, which is needed for: {}.",
                lacking.resource, lacking.needed_for
            ),
            format!(
                "Tick {} for {} at the key, in the back office under Advanced Parameters, Web service.",
                lacking.methods, lacking.resource
            ),
        ));
    }
    if missing.iter().all(|lacking| lacking.resource != "hotels") {
        findings.extend(hotel(pms, server).await);
    }
    findings
}

/// Asks a system of the program's own what our credentials may do, and for its hotels. Writes nothing.
pub(super) async fn examine_custom(pms: &PmsClient) -> Vec<Finding> {
    let system = pms.system();
    let missing = match pms.self_test().await {
        Ok(missing) => missing,
        Err(error) => return vec![failed_custom(&error, system)],
    };
    let mut findings = vec![Finding::ok(
        codes::PMS_CONNECTION,
        format!("{system} answers, and takes our credentials."),
    )];
    if missing.is_empty() {
        findings.push(Finding::ok(
            codes::PMS_PERMISSIONS,
            "Our credentials may do all that the system's capabilities need.",
        ));
    }
    for MissingPermission {
        resource,
        methods,
        needed_for,
        ..
    } in &missing
    {
        findings.push(Finding::error(
            codes::PMS_PERMISSIONS,
            format!("Our credentials may not use {resource}, which is needed for: {needed_for}."),
            format!("Permit {methods} on {resource} to them, at {system}."),
        ));
    }
    findings.push(match pms.hotels().await {
        Err(error) => failed_custom(&error, system),
        Ok(hotels) if hotels.is_empty() => Finding::error(
            codes::PMS_HOTEL,
            format!("{system} shows no hotel to our credentials, so nothing can be booked."),
            "Give them a hotel, or take those of the account that has it.",
        ),
        Ok(hotels) => {
            let names: Vec<_> = hotels
                .iter()
                .map(|hotel| format!("{} ({})", hotel.name, hotel.id))
                .collect();
            Finding::ok(codes::PMS_HOTEL, format!("{system} has {}.", names.join(", ")))
        }
    });
    findings
}

fn failed_custom(error: &Error, system: &str) -> Finding {
    let (code, remedy) = if error.is(errors::PMS_REFUSED) {
        (
            codes::PMS_KEY,
            "Correct the credentials with which the program connects it.",
        )
    } else if error.is(errors::PMS_NOT_PERMITTED) {
        (
            codes::PMS_PERMISSIONS,
            "Permit it to the credentials with which the program connects it.",
        )
    } else if error.is(errors::PMS_WRONG_SYSTEM) {
        (
            codes::PMS_ADDRESS,
            "Correct the address at which the program connects it.",
        )
    } else if error.is(errors::POSADA_CLOSED) {
        (codes::CLOSED, "Ask a handle that is open.")
    } else {
        (
            codes::PMS_UNREACHABLE,
            "Check that it runs, that the program connects it at the right address, and that firewalls let this machine \
             through.",
        )
    };
    Finding::error(code, format!("{system}: {error}."), remedy)
}

async fn hotel(pms: &PmsClient, server: &QloAppsSettings) -> Option<Finding> {
    let id = server.hotel_id;
    // That the QloApps server answers is known; what else is wrong with the list shows in the permissions.
    let hotels = pms.hotels().await.ok()?;
    if let Some(hotel) = hotels.iter().find(|hotel| hotel.id.number() == Some(id)) {
        return Some(Finding::ok(
            codes::PMS_HOTEL,
            format!("The hotel {id} is {}.", hotel.name),
        ));
    }
    let known: Vec<String> = hotels.iter().map(|hotel| hotel.id.to_string()).collect();
    Some(Finding::error(
        codes::PMS_HOTEL,
        format!(
            "The QloApps server has no hotel {id}; it has {}.",
            if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            }
        ),
        "Set PMS_HOTEL_ID to one of them.",
    ))
}

fn failed(error: &Error, server: &QloAppsSettings) -> Finding {
    let seen = format!("{}: {error}.", server.base_url);
    let (code, remedy) = if error.is(errors::PMS_REFUSED) {
        (
            codes::PMS_KEY,
            "Copy the key from the back office (Advanced Parameters, Web service) into PMS_API_KEY, and enable it there.",
        )
    } else if error.is(errors::PMS_SWITCHED_OFF) {
        (
            codes::PMS_SWITCHED_OFF,
            "Switch it on in the back office: Advanced Parameters, Web service, Enable.",
        )
    } else if error.is(errors::PMS_NOT_PERMITTED) {
        (
            codes::PMS_PERMISSIONS,
            "Tick the resources that posada needs at the key, under Web service.",
        )
    } else if error.is(errors::PMS_WRONG_SYSTEM) {
        (
            codes::PMS_ADDRESS,
            "Set PMS_BASE_URL to the address that the QloApps server itself uses, with its scheme and port and without \
             /api, and let the web server rewrite /api.",
        )
    } else if error.is(errors::POSADA_CLOSED) {
        (codes::CLOSED, "Ask a handle that is open.")
    } else {
        (
            codes::PMS_UNREACHABLE,
            "Check that the QloApps server runs, that PMS_BASE_URL is right, and that firewalls let this machine \
             through.",
        )
    };
    Finding::error(code, seen, remedy)
}
