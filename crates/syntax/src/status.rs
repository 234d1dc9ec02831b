//! Status codes (RFC 3261 §21 and its extensions).

macro_rules! statuses {
    ($($constant:ident $code:literal $reason:literal $doc:literal;)*) => {
        impl Status {
            $(#[doc = $doc] pub const $constant: Self = Self($code);)*

            /// The usual Reason-Phrase.
            pub fn reason(self) -> &'static str {
                match self.0 {
                    $($code => $reason,)*
                    100..=199 => "Progress",
                    200..=299 => "OK",
                    300..=399 => "Redirected",
                    400..=499 => "Request Failed",
                    500..=599 => "Server Failed",
                    _ => "Refused Everywhere",
                }
            }
        }
    };
}

/// A Status-Code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Status(u16);

impl Status {
    /// A status code; numbers outside of 100 to 699 are brought to 500, which is how unusable ones are treated.
    pub const fn new(code: u16) -> Self {
        if code >= 100 && code < 700 {
            Self(code)
        } else {
            Self(500)
        }
    }

    /// The number.
    pub const fn code(self) -> u16 {
        self.0
    }

    /// The first digit.
    pub const fn class(self) -> u16 {
        self.0 / 100
    }

    /// 1xx.
    pub const fn is_provisional(self) -> bool {
        self.0 < 200
    }

    /// 2xx.
    pub const fn is_success(self) -> bool {
        self.class() == 2
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

statuses! {
    TRYING 100 "Trying" "RFC 3261 §21.1.1.";
    RINGING 180 "Ringing" "RFC 3261 §21.1.2.";
    FORWARDED 181 "Call Is Being Forwarded" "RFC 3261 §21.1.3.";
    QUEUED 182 "Queued" "RFC 3261 §21.1.4.";
    SESSION_PROGRESS 183 "Session Progress" "RFC 3261 §21.1.5.";
    EARLY_DIALOG_TERMINATED 199 "Early Dialog Terminated" "RFC 6228.";
    OK 200 "OK" "RFC 3261 §21.2.1.";
    ACCEPTED 202 "Accepted" "RFC 6665 §8.3.1.";
    NO_NOTIFICATION 204 "No Notification" "RFC 5839.";
    MULTIPLE_CHOICES 300 "Multiple Choices" "RFC 3261 §21.3.1.";
    MOVED_PERMANENTLY 301 "Moved Permanently" "RFC 3261 §21.3.2.";
    MOVED_TEMPORARILY 302 "Moved Temporarily" "RFC 3261 §21.3.3.";
    USE_PROXY 305 "Use Proxy" "RFC 3261 §21.3.4.";
    ALTERNATIVE_SERVICE 380 "Alternative Service" "RFC 3261 §21.3.5.";
    BAD_REQUEST 400 "Bad Request" "RFC 3261 §21.4.1.";
    UNAUTHORIZED 401 "Unauthorized" "RFC 3261 §21.4.2.";
    PAYMENT_REQUIRED 402 "Payment Required" "RFC 3261 §21.4.3.";
    FORBIDDEN 403 "Forbidden" "RFC 3261 §21.4.4.";
    NOT_FOUND 404 "Not Found" "RFC 3261 §21.4.5.";
    METHOD_NOT_ALLOWED 405 "Method Not Allowed" "RFC 3261 §21.4.6.";
    NOT_ACCEPTABLE 406 "Not Acceptable" "RFC 3261 §21.4.7.";
    PROXY_AUTHENTICATION_REQUIRED 407 "Proxy Authentication Required" "RFC 3261 §21.4.8.";
    REQUEST_TIMEOUT 408 "Request Timeout" "RFC 3261 §21.4.9.";
    GONE 410 "Gone" "RFC 3261 §21.4.10.";
    CONDITIONAL_REQUEST_FAILED 412 "Conditional Request Failed" "RFC 3903 §11.2.1.";
    REQUEST_ENTITY_TOO_LARGE 413 "Request Entity Too Large" "RFC 3261 §21.4.11.";
    REQUEST_URI_TOO_LONG 414 "Request-URI Too Long" "RFC 3261 §21.4.12.";
    UNSUPPORTED_MEDIA_TYPE 415 "Unsupported Media Type" "RFC 3261 §21.4.13.";
    UNSUPPORTED_URI_SCHEME 416 "Unsupported URI Scheme" "RFC 3261 §21.4.14.";
    BAD_EXTENSION 420 "Bad Extension" "RFC 3261 §21.4.15.";
    EXTENSION_REQUIRED 421 "Extension Required" "RFC 3261 §21.4.16.";
    SESSION_INTERVAL_TOO_SMALL 422 "Session Interval Too Small" "RFC 4028 §6.";
    INTERVAL_TOO_BRIEF 423 "Interval Too Brief" "RFC 3261 §21.4.17.";
    FLOW_FAILED 430 "Flow Failed" "RFC 5626 §11.5.";
    FIRST_HOP_LACKS_OUTBOUND_SUPPORT 439 "First Hop Lacks Outbound Support" "RFC 5626 §11.6.";
    MAX_BREADTH_EXCEEDED 440 "Max-Breadth Exceeded" "RFC 5393 §5.";
    TEMPORARILY_UNAVAILABLE 480 "Temporarily Unavailable" "RFC 3261 §21.4.18.";
    CALL_DOES_NOT_EXIST 481 "Call/Transaction Does Not Exist" "RFC 3261 §21.4.19.";
    LOOP_DETECTED 482 "Loop Detected" "RFC 3261 §21.4.20.";
    TOO_MANY_HOPS 483 "Too Many Hops" "RFC 3261 §21.4.21.";
    ADDRESS_INCOMPLETE 484 "Address Incomplete" "RFC 3261 §21.4.22.";
    AMBIGUOUS 485 "Ambiguous" "RFC 3261 §21.4.23.";
    BUSY_HERE 486 "Busy Here" "RFC 3261 §21.4.24.";
    REQUEST_TERMINATED 487 "Request Terminated" "RFC 3261 §21.4.25.";
    NOT_ACCEPTABLE_HERE 488 "Not Acceptable Here" "RFC 3261 §21.4.26.";
    BAD_EVENT 489 "Bad Event" "RFC 6665 §8.3.2.";
    REQUEST_PENDING 491 "Request Pending" "RFC 3261 §21.4.27.";
    UNDECIPHERABLE 493 "Undecipherable" "RFC 3261 §21.4.28.";
    SERVER_INTERNAL_ERROR 500 "Server Internal Error" "RFC 3261 §21.5.1.";
    NOT_IMPLEMENTED 501 "Not Implemented" "RFC 3261 §21.5.2.";
    BAD_GATEWAY 502 "Bad Gateway" "RFC 3261 §21.5.3.";
    SERVICE_UNAVAILABLE 503 "Service Unavailable" "RFC 3261 §21.5.4.";
    SERVER_TIMEOUT 504 "Server Time-out" "RFC 3261 §21.5.5.";
    VERSION_NOT_SUPPORTED 505 "Version Not Supported" "RFC 3261 §21.5.6.";
    MESSAGE_TOO_LARGE 513 "Message Too Large" "RFC 3261 §21.5.7.";
    PUSH_NOTIFICATION_SERVICE_NOT_SUPPORTED 555 "Push Notification Service Not Supported" "RFC 8599 §8.1.";
    BUSY_EVERYWHERE 600 "Busy Everywhere" "RFC 3261 §21.6.1.";
    DECLINE 603 "Decline" "RFC 3261 §21.6.2.";
    DOES_NOT_EXIST_ANYWHERE 604 "Does Not Exist Anywhere" "RFC 3261 §21.6.3.";
    NOT_ACCEPTABLE_ANYWHERE 606 "Not Acceptable" "RFC 3261 §21.6.4.";
}
