//! Keeps web pages from using a browser that can reach us; it may not know what is asked.
//!
//! gRPC without encryption is out of the reach of browsers, JSON over HTTP/1.1 is not: any page that
//! is open in one could order what it likes from a service that listens on loopback, and after
//! changing what its own name resolves to it could read the answers too. So that the REST door opens
//! nothing that was closed:
//!
//! | What | Why |
//! |---|---|
//! | what a page of any site sent is refused | a browser says so, by `Origin` or `Sec-Fetch-Site` |
//! | on loopback only its names are taken | a page whose name was made to lead here sends that name |
//! | gRPC stays with HTTP/2 | its server takes any content type, as a simple form can send it |

use std::net::IpAddr;

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, StatusCode, Uri, Version,
        header::{HOST, ORIGIN},
    },
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::problem::Problem;

/// Lets through what is not from a web page.
pub(super) async fn guard(State(loopback): State<bool>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let ours = path == "/metrics" || path == "/api" || path.starts_with("/api/");
    if !ours {
        if request.version() < Version::HTTP_2 {
            return Problem::new(
                StatusCode::UPGRADE_REQUIRED,
                "HTTP_2_REQUIRED",
                "there is nothing at this address for HTTP/1",
                "gRPC needs HTTP/2; JSON is below /api/",
            )
            .into_response();
        }
        return next.run(request).await;
    }
    let refused = refusal(loopback, request.uri(), request.headers());
    if let Some(problem) = refused {
        let guidance = "call it from a program, not from a web page";
        return Problem::new(StatusCode::FORBIDDEN, "FROM_A_BROWSER", problem, guidance)
            .into_response();
    }
    next.run(request).await
}

fn refusal(loopback: bool, uri: &Uri, headers: &HeaderMap) -> Option<&'static str> {
    let site = headers.get("sec-fetch-site");
    if headers.contains_key(ORIGIN) || site.is_some_and(|site| site != "none") {
        return Some("a web page asked for this");
    }
    let named = headers.get(HOST).and_then(|host| host.to_str().ok());
    let authority = uri.authority().map(http::uri::Authority::as_str).or(named);
    if loopback && !authority.is_some_and(is_loopback_name) {
        return Some("it was asked for by a name that is not that of this host");
    }
    None
}

/// Whether a name, with or without a port, can only mean what was typed.
fn is_loopback_name(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|one| one.is_ascii_digit()) => host,
        Some(_) | None => authority,
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().is_ok() || bare.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(headers: &[(&'static str, &'static str)]) -> Option<&'static str> {
        let headers = headers.iter().map(|(name, value)| {
            let value = http::HeaderValue::from_static(value);
            (http::HeaderName::from_static(name), value)
        });
        refusal(true, &Uri::from_static("/api/"), &headers.collect())
    }

    #[test]
    fn programs_and_the_address_bar_are_let_in() {
        for host in [
            "127.0.0.1:7447",
            "localhost:7447",
            "[::1]:7447",
            "LOCALHOST",
        ] {
            assert_eq!(asked(&[("host", host)]), None, "{host}");
        }
        assert_eq!(
            asked(&[("host", "localhost"), ("sec-fetch-site", "none")]),
            None
        );
    }

    #[test]
    fn web_pages_are_not() {
        for headers in [
            &[("host", "127.0.0.1"), ("origin", "null")][..],
            &[("host", "127.0.0.1"), ("origin", "http://127.0.0.1")],
            &[("host", "127.0.0.1"), ("sec-fetch-site", "cross-site")],
            &[("host", "rebound.example:7447")],
            &[("host", "127.0.0.1.rebound.example")],
            &[],
        ] {
            assert!(asked(headers).is_some(), "{headers:?}");
        }
    }

    #[test]
    fn elsewhere_any_name_is_good() {
        let headers = HeaderMap::from_iter([(HOST, http::HeaderValue::from_static("dr.example"))]);
        assert_eq!(refusal(false, &Uri::from_static("/api/"), &headers), None);
    }
}
