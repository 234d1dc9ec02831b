//! A push notification service: what is asked of its server, and what its answer means.

use std::fmt;
use std::sync::Arc;

use strowger_sip::registrar::PushParams;
use strowger_syntax::uri::escape::unescape_into;

use super::template::{Escape, Place};
use crate::config::PushProvider;
use crate::http::{self, Client, Limits, Request, Url};

/// The bytes of an answer that are read. Nothing is done with them.
const ANSWER: usize = 64 << 10;
/// Requests that may wait, for each that may be under way.
const WAITING: usize = 10;

/// A service, with the connections to its server.
#[derive(Debug)]
pub struct Provider {
    settings: PushProvider,
    client: Client,
}

/// A device at a service, and what wakes it.
#[derive(Clone, Debug)]
pub struct Push {
    /// Of the device: `pn-param`; empty without one.
    pub param: Box<str>,
    /// Of the device: `pn-prid`.
    pub prid: Hidden,
    /// The address-of-record.
    pub aor: Box<str>,
    /// The Call-ID of the request that waits; empty when the device is to register again and nothing else.
    pub call_id: Box<str>,
    /// Its method; REGISTER when the device is to register again.
    pub method: Box<str>,
    /// Whether somebody waits.
    pub urgent: bool,
}

/// What leads to a device, and is shown to nobody but its service (RFC 8599 §13).
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(pub Box<str>);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

impl Push {
    /// A push of the device with these parameters.
    pub fn of(params: &PushParams<'_>, aor: &[u8], call_id: &[u8], method: &str, urgent: bool) -> Self {
        Self {
            param: unescaped(params.param.unwrap_or_default()),
            prid: Hidden(unescaped(params.prid.unwrap_or_default())),
            aor: text(aor),
            call_id: text(call_id),
            method: method.into(),
            urgent,
        }
    }
}

fn text(bytes: &[u8]) -> Box<str> {
    String::from_utf8_lossy(bytes).into()
}

fn unescaped(value: &[u8]) -> Box<str> {
    let mut plain = Vec::new();
    unescape_into(value, &mut plain);
    text(&plain)
}

/// Why a device was not pushed.
#[derive(Clone, Debug)]
pub enum NotPushed {
    /// What this node needs for the request cannot be had.
    NotReady(Box<str>),
    /// What the device has said of itself does not fit into a request.
    BadDevice,
    /// There is no answer.
    Unanswered(http::Error),
    /// The server refuses.
    Refused(u16),
}

impl NotPushed {
    /// Whose fault it is, in one word for a log.
    pub fn fault(&self) -> &'static str {
        match self {
            Self::NotReady(_) | Self::Refused(401 | 403 | 405 | 415) => "this-node",
            Self::BadDevice | Self::Refused(404 | 410) => "device",
            Self::Unanswered(error) => match error.fault() {
                http::Fault::Ours => "this-node",
                http::Fault::Network => "network",
                http::Fault::Theirs => "push-service",
            },
            Self::Refused(_) => "push-service",
        }
    }
}

impl fmt::Display for NotPushed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReady(why) => f.write_str(why),
            Self::BadDevice => f.write_str("what the device has registered does not fit into a request"),
            Self::Unanswered(error) => error.fmt(f),
            Self::Refused(status @ (401 | 403)) => {
                write!(f, "the push service answered {status}: look at `authorization`")
            }
            Self::Refused(status @ (404 | 410)) => write!(
                f,
                "the push service answered {status}: it does not know the device"
            ),
            Self::Refused(status) => write!(f, "the push service answered {status}"),
        }
    }
}

impl Provider {
    /// A service as it is configured.
    pub(super) fn new(settings: &PushProvider) -> Self {
        let at_once = usize::from(settings.at_once);
        Self {
            settings: settings.clone(),
            client: Client::new(Limits {
                time: settings.timeout,
                body: ANSWER,
                at_once,
                waiting: at_once * WAITING,
            }),
        }
    }

    /// What contacts call it.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Whether what a contact says is all that it takes to push the device (RFC 8599 §5.6.1.1).
    pub fn suffices(&self, params: &PushParams<'_>) -> bool {
        let settings = &self.settings;
        let needs_param = settings.url.has(Place::Param)
            || settings.header.iter().any(|(_, value)| value.has(Place::Param));
        params.prid.is_some() && (!needs_param || params.param.is_some_and(|param| !param.is_empty()))
    }

    /// Pushes a device. To be awaited within a tokio runtime.
    ///
    /// # Errors
    /// Why the service did not take it.
    pub async fn push(self: &Arc<Self>, push: Push) -> Result<(), NotPushed> {
        let this = Arc::clone(self);
        // The secret may be in a file.
        let request = tokio::task::spawn_blocking(move || this.request(&push)).await;
        let request = request.map_err(|_| NotPushed::NotReady("the request could not be made".into()))??;
        match self.client.ask(&request).await {
            Ok(answer) if answer.is_success() => Ok(()),
            Ok(answer) => Err(NotPushed::Refused(answer.status)),
            Err(error) => Err(NotPushed::Unanswered(error)),
        }
    }

    fn request(&self, push: &Push) -> Result<Request, NotPushed> {
        let settings = &self.settings;
        let value = |place| match place {
            Place::Provider => settings.name.as_str(),
            Place::Param => &push.param,
            Place::Prid => &push.prid.0,
            Place::Aor => &push.aor,
            Place::CallId => &push.call_id,
            Place::Method => &push.method,
            Place::Priority if push.urgent => "high",
            Place::Priority => "normal",
        };
        let url = Url::parse(&settings.url.fill(Escape::Url, value)).map_err(|_| NotPushed::BadDevice)?;
        let body = settings.body.fill(Escape::Json, value);
        // To be pushed twice does a device no harm.
        let request = Request::post(url, body).repeatable();
        let mut request = request.with_method(&settings.method).map_err(not_ready)?;
        for (name, template) in &settings.header {
            let value = template.fill(Escape::None, value);
            request = request
                .with_line(name, value.as_bytes())
                .map_err(|_| NotPushed::BadDevice)?;
        }
        if let Some(place) = &settings.authorization {
            let secret = place.read().map_err(not_ready)?;
            request = request
                .with_line("Authorization", secret.expose().as_bytes())
                .map_err(not_ready)?;
        }
        Ok(request)
    }
}

fn not_ready(error: impl fmt::Display) -> NotPushed {
    NotPushed::NotReady(error.to_string().into())
}
