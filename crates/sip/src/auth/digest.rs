//! The response of a digest (RFC 7616 §3.4.1 to §3.4.3, RFC 8760 §2.6), from H(A1).

use subtle::ConstantTimeEq as _;

use super::algorithm::{Algorithm, Ha1, Hex, Text};

/// The `qop` of credentials, with the parameters that come with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection<'a> {
    /// No qop: the form of RFC 2069, which RFC 3261 §22.4 (8) still wants understood.
    None,
    /// `auth`: the request line is protected.
    Auth {
        /// `nc` as it was sent.
        nc: &'a [u8],
        /// `cnonce` without its quotes.
        cnonce: &'a [u8],
    },
    /// `auth-int`: the body too.
    AuthInt {
        /// `nc` as it was sent.
        nc: &'a [u8],
        /// `cnonce` without its quotes.
        cnonce: &'a [u8],
        /// The body of the request.
        body: &'a [u8],
    },
}

/// What goes into a response beside H(A1). Quoted values stand without their quotes but with the backslashes that
/// were sent: those are left out while hashing (RFC 7616 §3.3, `unq`).
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The method of the request.
    pub method: &'a [u8],
    /// The `uri` parameter.
    pub uri: &'a [u8],
    /// The `nonce` parameter.
    pub nonce: &'a [u8],
    /// `qop` and its companions.
    pub protection: Protection<'a>,
}

impl Inputs<'_> {
    /// H(A2) (RFC 7616 §3.4.3).
    fn ha2(&self, algorithm: Algorithm) -> Hex {
        let mut text = Text::new(algorithm);
        text.push(self.method);
        text.push(b":");
        text.push_unquoted(self.uri);
        if let Protection::AuthInt { body, .. } = self.protection {
            text.push(b":");
            text.push(algorithm.hash(&[body]).as_bytes());
        }
        text.hash()
    }
}

/// Bytes of a method and a digest-uri that are remembered.
const REMEMBERED: usize = 96;

/// H(A2) of a few requests: those of many clients have the same, a REGISTER of each domain for one. Nothing in it is secret.
#[derive(Debug, Default)]
pub struct RequestHashes([Option<RequestHash>; 4]);

#[derive(Debug)]
struct RequestHash {
    algorithm: Algorithm,
    /// The method, and behind it the digest-uri as it was written.
    text: [u8; REMEMBERED],
    method: usize,
    len: usize,
    hash: Hex,
}

impl RequestHash {
    fn is_of(&self, algorithm: Algorithm, inputs: &Inputs<'_>) -> bool {
        let (method, uri) = self.text[..self.len].split_at(self.method);
        self.algorithm == algorithm && uri == inputs.uri && method == inputs.method
    }
}

impl RequestHashes {
    /// H(A2) of a request.
    pub(super) fn ha2(&mut self, algorithm: Algorithm, inputs: &Inputs<'_>) -> Hex {
        let (method, len) = (inputs.method.len(), inputs.method.len() + inputs.uri.len());
        let place = &mut self.0[len % 4];
        if let Some(known) = place.as_ref()
            && !matches!(inputs.protection, Protection::AuthInt { .. })
            && known.is_of(algorithm, inputs)
        {
            return known.hash;
        }
        let hash = inputs.ha2(algorithm);
        if len <= REMEMBERED && !matches!(inputs.protection, Protection::AuthInt { .. }) {
            let mut text = [0; REMEMBERED];
            text[..method].copy_from_slice(inputs.method);
            text[method..len].copy_from_slice(inputs.uri);
            *place = Some(RequestHash {
                algorithm,
                text,
                method,
                len,
                hash,
            });
        }
        hash
    }
}

/// The response to a challenge: 32 or 64 hexadecimal digits.
#[derive(Clone, Copy)]
pub struct Response(Hex);

impl Response {
    /// Computes the response.
    pub fn compute(algorithm: Algorithm, ha1: &Ha1, inputs: &Inputs<'_>) -> Self {
        Self::from_hashes(algorithm, ha1, inputs, &inputs.ha2(algorithm))
    }

    /// [`compute`](Self::compute) where H(A2) is known.
    pub(super) fn from_hashes(algorithm: Algorithm, ha1: &Ha1, inputs: &Inputs<'_>, ha2: &Hex) -> Self {
        let mut text = Text::new(algorithm);
        text.push(ha1.as_hex());
        text.push(b":");
        text.push_unquoted(inputs.nonce);
        text.push(b":");
        let qop: Option<(_, _, &[u8])> = match inputs.protection {
            Protection::None => None,
            Protection::Auth { nc, cnonce } => Some((nc, cnonce, b":auth:")),
            Protection::AuthInt { nc, cnonce, .. } => Some((nc, cnonce, b":auth-int:")),
        };
        if let Some((nc, cnonce, qop)) = qop {
            text.push(nc);
            text.push(b":");
            text.push_unquoted(cnonce);
            text.push(qop);
        }
        text.push(ha2.as_bytes());
        Self(text.hash())
    }

    /// The digits, in lower case.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether a `response` parameter has these digits, in either case, in a time that does not tell how many.
    pub fn matches(&self, given: &[u8]) -> bool {
        let expected = self.as_bytes();
        if given.len() != expected.len() {
            return false;
        }
        // The expected digit is one of 0-9 and a-f. Setting bit 5 where bit 6 is set maps A-F to a-f and leaves all else.
        let lower = |digits: u64| digits | (digits & 0x4040_4040_4040_4040) >> 1;
        let (expected, given) = (expected.as_chunks::<8>().0, given.as_chunks::<8>().0);
        let difference = expected
            .iter()
            .zip(given)
            .fold(0, |difference, (expected, given)| {
                difference | u64::from_le_bytes(*expected) ^ lower(u64::from_le_bytes(*given))
            });
        difference.ct_eq(&0).into()
    }
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Response(not shown)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(response: &Response) -> &str {
        std::str::from_utf8(response.as_bytes()).expect("hexadecimal digits")
    }

    #[test]
    fn rfc_7616_section_3_9_1_and_rfc_2617_examples() {
        let mufasa = |algorithm, nonce: &'static str, cnonce: &'static str, realm: &str, password: &str| {
            let ha1 = Ha1::compute(algorithm, b"Mufasa", realm.as_bytes(), password.as_bytes());
            let protection = Protection::Auth {
                nc: b"00000001",
                cnonce: cnonce.as_bytes(),
            };
            let nonce = nonce.as_bytes();
            Response::compute(
                algorithm,
                &ha1,
                &Inputs {
                    method: b"GET",
                    uri: b"/dir/index.html",
                    nonce,
                    protection,
                },
            )
        };
        let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        let md5 = mufasa(
            Algorithm::Md5,
            nonce,
            cnonce,
            "http-auth@example.org",
            "Circle of Life",
        );
        assert_eq!(text(&md5), "8ca523f5e9506fed4657c9700eebdbec");
        let sha = mufasa(
            Algorithm::Sha256,
            nonce,
            cnonce,
            "http-auth@example.org",
            "Circle of Life",
        );
        assert_eq!(
            text(&sha),
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
        );
        let old = "dcd98b7102dd2f0e8b11d0f600bfb0c093";
        let old = mufasa(
            Algorithm::Md5,
            old,
            "0a4f113b",
            "testrealm@host.com",
            "Circle Of Life",
        );
        assert_eq!(text(&old), "6629fae49393a05397450978507c4ef1");
    }

    #[test]
    fn rfc_7616_section_3_9_2_example_with_sha_512_256() {
        let user = "J\u{e4}s\u{f8}n Doe".as_bytes();
        let ha1 = Ha1::compute(
            Algorithm::Sha512_256,
            user,
            b"api@example.org",
            b"Secret, or not?",
        );
        let inputs = Inputs {
            method: b"GET",
            uri: b"/doe.json",
            nonce: b"5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
            protection: Protection::Auth {
                nc: b"00000001",
                cnonce: b"NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
            },
        };
        // The response printed in the RFC is not one of SHA-512/256 (FIPS 180-4); this is.
        let right = "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5";
        assert_eq!(
            text(&Response::compute(Algorithm::Sha512_256, &ha1, &inputs)),
            right
        );
    }

    #[test]
    fn without_qop_as_in_rfc_2069_and_with_auth_int() {
        let ha1 = Ha1::compute(Algorithm::Md5, b"bob", b"biloxi.com", b"zanzibar");
        let inputs = |protection| Inputs {
            method: b"INVITE",
            uri: b"sip:bob@biloxi.com",
            nonce: b"dcd98b7102dd2f0e8b11d0f600bfb0c093",
            protection,
        };
        let (nc, cnonce) = (b"00000001".as_slice(), b"0a4f113b".as_slice());
        let response = |protection| Response::compute(Algorithm::Md5, &ha1, &inputs(protection));
        // From draft-smith-sipping-auth-examples-01.
        assert_eq!(
            text(&response(Protection::None)),
            "bf57e4e0d0bffc0fbaedce64d59add5e"
        );
        assert_eq!(
            text(&response(Protection::Auth { nc, cnonce })),
            "89eb0059246c02b2f6ee02c7961d5ea3"
        );
        let with = |body| text(&response(Protection::AuthInt { nc, cnonce, body })).to_owned();
        assert_ne!(with(b"v=0"), with(b"v=1"), "auth-int covers the body");
    }

    #[test]
    fn digits_compare_in_either_case_and_in_whole() {
        let ha1 = Ha1::compute(Algorithm::Md5, b"u", b"r", b"p");
        let inputs = Inputs {
            method: b"A",
            uri: b"b",
            nonce: b"c",
            protection: Protection::None,
        };
        let response = Response::compute(Algorithm::Md5, &ha1, &inputs);
        let right = response.as_bytes().to_vec();
        assert!(response.matches(&right));
        assert!(response.matches(&right.to_ascii_uppercase()));
        assert!(!response.matches(&right[1..]));
        assert!(!response.matches(b""));
        for at in 0..right.len() {
            let mut wrong = right.clone();
            wrong[at] = if wrong[at] == b'0' { b'1' } else { b'0' };
            assert!(!response.matches(&wrong));
            // Digits without bit 5 (0x10 to 0x19) must not pass for 0 to 9.
            wrong[at] = right[at] & !0x20;
            assert_eq!(response.matches(&wrong), right[at].is_ascii_alphabetic());
        }
    }

    #[test]
    fn requests_are_remembered_by_all_that_is_hashed() {
        let mut hashes = RequestHashes::default();
        let long = vec![b'x'; REMEMBERED];
        let auth = Protection::Auth {
            nc: b"00000001",
            cnonce: b"c",
        };
        let with = |body| Protection::AuthInt {
            nc: b"00000001",
            cnonce: b"c",
            body,
        };
        for _ in 0..2 {
            for algorithm in Algorithm::ALL {
                for protection in [Protection::None, auth, with(b"v=0"), with(b"v=1")] {
                    for (method, uri) in [
                        (&b"REGISTER"[..], &b"sip:a"[..]),
                        (b"REGISTER", b"sip:b"),
                        (b"REGISTER", b"sip:\\b"),
                        (b"REGISTERs", b"ip:b"),
                        (b"OPTIONS", b"sip:a123"),
                        (b"INVITE", &long),
                    ] {
                        let inputs = Inputs {
                            method,
                            uri,
                            nonce: b"n",
                            protection,
                        };
                        assert!(hashes.ha2(algorithm, &inputs) == inputs.ha2(algorithm));
                    }
                }
            }
        }
    }
}
