//! What is done to an answer of a cloud: its status, its headers and its body; it may not know what was asked.

use drbackup::openstack::TransportError;
use http::{HeaderMap, HeaderName, HeaderValue};
use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};

use crate::{clouds::Exchange, mutate, words};

/// Does something to an answer, or has none come.
pub(crate) fn spoil(dice: &mut StdRng, exchange: &mut Exchange) -> Result<(), TransportError> {
    if dice.random_ratio(1, 8) {
        let statuses = [
            100, 200, 201, 202, 203, 204, 300, 302, 304, 400, 401, 403, 404, 405, 406, 409, 410,
            413, 415, 429, 500, 501, 502, 503, 504, 999,
        ];
        exchange.status = *statuses.choose(dice).unwrap_or(&500);
    }
    if dice.random_ratio(1, 8) {
        spoil_header(dice, &mut exchange.headers);
    }
    match dice.random_range(0..32_u8) {
        0 => {
            let text = "somebody pulled the plug".to_owned();
            let errors = [
                TransportError::Late,
                TransportError::Unreachable(text.clone()),
                TransportError::Unconfigured(text.clone()),
                TransportError::Broken(text),
                TransportError::TooLong(16 << 20),
            ];
            return Err(errors.choose(dice).cloned().unwrap_or(TransportError::Late));
        }
        1 => exchange.body = mutate::noise(dice),
        2 => exchange.body = b"<html><body><h1>504 Gateway Time-out</h1></body></html>".to_vec(),
        3 => {
            let depth = *[100, 127, 128, 129, 10_000, 200_000]
                .choose(dice)
                .unwrap_or(&100);
            let (open, close) = if dice.random() {
                ("[", "]")
            } else {
                ("{\"a\":", "}")
            };
            exchange.body = format!("{}1{}", open.repeat(depth), close.repeat(depth)).into_bytes();
        }
        4..8 => mutate::bytes(
            dice,
            &mut exchange.body,
            br#"{"id":null,"id":"a","links":[{"rel":"next","href":"?"}],"#,
        ),
        8 => {
            // Every name twice: which one counts is nobody's business, but that it ends.
            let text = String::from_utf8_lossy(&exchange.body).into_owned();
            exchange.body = text.replace("\"id\":", "\"id\": 7, \"id\":").into_bytes();
        }
        _ => {
            if let Some(mut value) = exchange.json.clone() {
                mutate::json(dice, &mut value);
                exchange.body = value.to_string().into_bytes();
            }
        }
    }
    Ok(())
}

fn spoil_header(dice: &mut StdRng, headers: &mut HeaderMap) {
    let names = [
        "retry-after",
        "date",
        "content-type",
        "location",
        "x-subject-token",
        "x-openstack-request-id",
        "x-compute-request-id",
        "openstack-api-version",
        "x-openstack-nova-api-version",
        "content-length",
    ];
    let texts = [
        "0",
        "1",
        "-1",
        "3600",
        "99999999999999999999",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "",
        "application/json",
        "text/html",
        "volume 3.0",
        "compute 2.999999",
        "http://source.invalid/identity/v3",
    ];
    let name = HeaderName::from_static(names.choose(dice).copied().unwrap_or(names[0]));
    if dice.random_ratio(1, 4) {
        headers.remove(name);
        return;
    }
    let text = if dice.random() {
        texts.choose(dice).copied().unwrap_or_default().to_owned()
    } else {
        words::word(dice, "name")
    };
    if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
        headers.insert(name, value);
    }
}
