//! Who comes in, found out once and before any door; it may not know what is asked, nor how anybody is
//! recognised.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, header::AUTHORIZATION},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use secrecy::SecretString;

use super::{
    entrance::{gate::is_json, share::Shares},
    requests::counted,
};
use crate::{
    api::status::status,
    auth::{Authenticator, Presented},
    domain::{caller::Door, id::CloudName},
    port::login::Login,
    rest::refusal,
};

/// The token of a caller, where it is not sent as a bearer's.
const TOKEN: &str = "x-auth-token";
/// The token of the service that calls for somebody else.
const SERVICE_TOKEN: &str = "x-service-token";
/// The cloud whose Keystone gave the token.
const CLOUD: &str = "x-drbackup-cloud";

/// What is answered to everybody: whether the service is well, and how it is asked.
const OPEN: [&str; 4] = [
    "/grpc.health.v1.Health/",
    "/grpc.reflection.v1.ServerReflection/",
    "/grpc.reflection.v1alpha.ServerReflection/",
    "/api/openapi.json",
];

/// The names of the certificate that a connection was made with.
#[derive(Debug, Clone)]
pub(super) struct PeerNames(pub(super) Arc<Vec<String>>);

/// The address that a connection comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct PeerAddress(pub(super) IpAddr);

/// Who tells callers apart, and what each of them may have under way.
#[derive(Clone)]
struct Desk {
    authenticator: Authenticator,
    shares: Arc<Shares>,
}

/// Lets in whom the authenticator recognises and who has not too much under way, and hands on who it is;
/// whoever is turned away is counted too.
pub(super) fn behind_login(
    router: Router,
    authenticator: Authenticator,
    shares: Arc<Shares>,
) -> Router {
    let desk = Desk {
        authenticator,
        shares,
    };
    counted(router.layer(from_fn_with_state(desk, login)))
}

async fn login(
    State(Desk {
        authenticator,
        shares,
    }): State<Desk>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    if OPEN.iter().any(|open| path.starts_with(open)) {
        return next.run(request).await;
    }
    let is_json = is_json(path);
    let presented = presented(&request);
    match authenticator.login(presented).await {
        Ok(login) => {
            let share = shares.take(&login.caller, request.uri().path(), request.version());
            let share = match share {
                Ok(share) => share,
                Err(refused) => return *refused,
            };
            let address = request.extensions().get::<PeerAddress>();
            let login = Login {
                door: if is_json { Door::Rest } else { Door::Grpc },
                address: address.map(|peer| peer.0),
                ..login
            };
            request.extensions_mut().insert(login);
            let mut answer = next.run(request).await;
            // It is held until the answer has left.
            if let Some(share) = share {
                answer.extensions_mut().insert(Arc::new(share));
            }
            answer
        }
        Err(error) if is_json => refusal(error),
        Err(error) => status(&error)
            .into_http::<axum::body::Body>()
            .into_response(),
    }
}

fn presented(request: &Request) -> Presented {
    let headers = request.headers();
    let names = request.extensions().get::<PeerNames>();
    Presented {
        token: bearer(headers).or_else(|| secret(headers, TOKEN)),
        service_token: secret(headers, SERVICE_TOKEN),
        cloud: text(headers, CLOUD).map(CloudName::new),
        certificate: names.map(|names| names.0.as_ref().clone()),
    }
}

fn bearer(headers: &HeaderMap) -> Option<SecretString> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
        .then(|| SecretString::from(token.to_owned()))
}

fn secret(headers: &HeaderMap, name: &str) -> Option<SecretString> {
    text(headers, name).map(SecretString::from)
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let text = headers.get(name)?.to_str().ok()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_token_is_taken_from_either_header_and_trimmed() {
        let of = |name: &'static str, value: &'static str| {
            let headers = HeaderMap::from_iter([(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )]);
            bearer(&headers)
                .or_else(|| secret(&headers, TOKEN))
                .map(|token| token.expose_secret().to_owned())
        };
        assert_eq!(of("authorization", "Bearer abc ").as_deref(), Some("abc"));
        assert_eq!(of("authorization", "bearer abc").as_deref(), Some("abc"));
        assert_eq!(of("x-auth-token", " abc ").as_deref(), Some("abc"));
        assert_eq!(of("authorization", "Basic abc"), None);
        assert_eq!(of("authorization", "Bearer "), None);
        assert_eq!(of("x-auth-token", " "), None);
    }
}
