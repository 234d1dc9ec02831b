//! The API's description (OpenAPI 3.1).

use serde_json::{Value, json};

/// The description as JSON.
pub fn openapi() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Strowger administration",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Queries and commands of a running node. Loopback only; the token is in admin.token in the data directory."
        },
        "security": [{ "token": [] }],
        "paths": paths(),
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas()
        }
    })
}

fn answer(description: &str, schema: &str) -> Value {
    json!({
        "description": description,
        "content": { "application/json": { "schema": { "$ref": format!("#/components/schemas/{schema}") } } }
    })
}

fn failure(description: &str) -> Value {
    answer(description, "Error")
}

fn list(summary: &str, schema: &str) -> Value {
    let parameter = |name: &str, kind: &str, description: &str| json!({ "name": name, "in": "query", "required": false, "schema": { "type": kind }, "description": description });
    json!({
        "summary": summary,
        "parameters": [
            parameter("q", "string", "Only entries that contain this text, ignoring case."),
            parameter("after", "string", "`next` of the page before."),
            parameter("limit", "integer", "Entries wanted, 1 to 1000; 100 if not said.")
        ],
        "responses": {
            "200": {
                "description": "One page.",
                "content": { "application/json": { "schema": {
                    "type": "object",
                    "properties": {
                        "items": { "type": "array", "items": { "$ref": format!("#/components/schemas/{schema}") } },
                        "next": { "type": ["string", "null"], "description": "Ask for the next page with this as `after`." },
                        "total": { "type": ["integer", "null"] }
                    }
                } } }
            },
            "401": failure("The token is missing or wrong.")
        }
    })
}

fn body(kind: &str, schema: Value) -> Value {
    json!({ "required": true, "content": { kind: { "schema": schema } } })
}

fn paths() -> Value {
    let address = json!([{ "name": "address", "in": "path", "required": true, "schema": { "type": "string" },
                           "description": "user@domain" }]);
    let text = |description: &str| json!({ "description": description, "content": { "text/plain": { "schema": { "type": "string" } } } });
    json!({
        "/healthz": { "get": { "summary": "Is it well?", "security": [],
            "responses": { "200": text("Calls are: `ok`, or why registrations can't be stored at the moment."), "503": text("It drains, or does not answer.") } } },
        "/metrics": { "get": { "summary": "Figures for Prometheus",
            "responses": { "200": text("Prometheus text format."), "401": failure("The token is missing or wrong.") } } },
        "/api/v1/openapi.json": { "get": { "summary": "This description", "security": [],
            "responses": { "200": { "description": "OpenAPI 3.1." } } } },
        "/api/v1/status": { "get": { "summary": "How the node is",
            "responses": { "200": answer("Its state.", "Status"), "401": failure("The token is missing or wrong.") } } },
        "/api/v1/registrations": registrations(),
        "/api/v1/subscriptions": { "get": list("Subscriptions to registrations", "Subscription") },
        "/api/v1/calls": { "get": list("Calls that the node keeps state of", "Call") },
        "/api/v1/users": {
            "get": list("Users", "User"),
            "post": {
                "summary": "Add a user",
                "requestBody": body("application/json", json!({ "$ref": "#/components/schemas/NewUser" })),
                "responses": { "201": answer("Added.", "User"), "409": failure("The address or an alias is taken."),
                               "422": failure("Something in it is malformed.") }
            }
        },
        "/api/v1/users/import": { "post": {
            "summary": "Add many users, or change their passwords",
            "requestBody": body("text/csv", json!({ "type": "string", "description": "Lines of user@domain,password." })),
            "responses": { "200": answer("What became of the lines.", "Import"), "415": failure("Not text/csv.") }
        } },
        "/api/v1/users/{address}": { "delete": {
            "summary": "Remove a user and its registrations", "parameters": address,
            "responses": { "204": { "description": "Removed." }, "404": failure("There is no such user.") }
        } },
        "/api/v1/users/{address}/password": { "put": {
            "summary": "Change a user's password", "parameters": address,
            "requestBody": body("application/json", json!({ "type": "object", "required": ["password"],
                "properties": { "password": { "type": "string", "minLength": 1, "maxLength": 256 } } })),
            "responses": { "204": { "description": "Changed." }, "404": failure("There is no such user.") }
        } },
        "/api/v1/bans": bans(),
        "/api/v1/explain": explaining(),
        "/api/v1/groups": groups(),
        "/api/v1/trunks": json!({ "get": list("Trunks: the providers that the node registers itself with", "Trunk") }),
        "/api/v1/dns": dns(),
        "/api/v1/reload": reload(),
        "/api/v1/reload/confirm": { "post": {
            "summary": "Keep the configuration in force",
            "responses": { "200": answer("It stays.", "Reloaded"), "409": failure("None waits to be confirmed.") }
        } },
        "/api/v1/reload/rollback": { "post": {
            "summary": "Go back to the configuration that was confirmed last",
            "responses": { "200": answer("It is in force.", "Reloaded"),
                           "409": failure("None waits to be confirmed, or the former one cannot be put into force.") }
        } },
        "/api/v1/drain": drain()
    })
}

fn drain() -> Value {
    json!({ "post": {
        "summary": "Finish what was begun, then end",
        "responses": { "202": { "description": "It has begun to." } }
    } })
}

fn reload() -> Value {
    json!({ "post": {
        "summary": "Read the configuration again and put it into force, all of it or nothing",
        "parameters": [{ "name": "rollback_after", "in": "query", "required": false, "schema": { "type": "string" },
            "description": "A duration such as 60s: the former configuration comes back then, unless this one is confirmed." }],
        "responses": { "200": answer("It is in force.", "Reloaded"),
                       "409": failure("There is no file, or the one in force is not confirmed yet."),
                       "422": answer("It is wrong or cannot be put into force; nothing has changed.", "Refusal") }
    } })
}

fn registrations() -> Value {
    json!({
        "get": list("Who is registered", "Registration"),
        "delete": {
            "summary": "End the registrations of an address, or one of them",
            "parameters": [
                { "name": "aor", "in": "query", "required": true, "schema": { "type": "string" }, "description": "user@domain." },
                { "name": "contact", "in": "query", "required": false, "schema": { "type": "string" },
                  "description": "The contact's URI; without it, all of the address." },
                { "name": "reject", "in": "query", "required": false, "schema": { "type": "boolean" },
                  "description": "Subscribers are told `rejected` instead of `deactivated`." },
                { "name": "retry_after", "in": "query", "required": false, "schema": { "type": "integer", "minimum": 0 },
                  "description": "Subscribers are told `probation`: to register anew after so many seconds." },
                { "name": "after", "in": "query", "required": false, "schema": { "type": "integer", "minimum": 0 },
                  "description": "They end after so many seconds unless they are refreshed; subscribers are told `shortened`." }
            ],
            "responses": {
                "200": { "description": "What was removed, or ends sooner.", "content": { "application/json": { "schema": {
                    "type": "array", "items": { "$ref": "#/components/schemas/Registration" } } } } },
                "404": failure("There is no such registration."), "422": failure("It is no address, or says how in two ways.")
            }
        }
    })
}

fn bans() -> Value {
    json!({
        "get": list("Bans in force", "Ban"),
        "delete": {
            "summary": "Lift the bans of a source, or of one account there",
            "parameters": [
                { "name": "source", "in": "query", "required": true, "schema": { "type": "string" },
                  "description": "An address, or an IPv6 /64." },
                { "name": "account", "in": "query", "required": false, "schema": { "type": "string" },
                  "description": "user@domain; without it, all bans of the source." }
            ],
            "responses": {
                "200": { "description": "What was lifted.", "content": { "application/json": { "schema": {
                    "type": "array", "items": { "$ref": "#/components/schemas/Ban" } } } } },
                "404": failure("There is no such ban."), "422": failure("The source is no address.")
            }
        }
    })
}

fn dns() -> Value {
    json!({
        "get": list("What DNS has said of names, and next hops that are avoided because they have failed", "DnsEntry"),
        "delete": {
            "summary": "Forget that: names are asked for anew, hops tried in their order",
            "parameters": [
                { "name": "name", "in": "query", "required": false, "schema": { "type": "string" },
                  "description": "A host name with the hops that it leads to, or the address of hops; without it, everything." }
            ],
            "responses": { "200": answer("How much was forgotten.", "DnsFlushed") }
        }
    })
}

fn groups() -> Value {
    json!({
        "get": list("Targets of target groups", "GroupTarget"),
        "put": {
            "summary": "Let a target run empty, or use it again",
            "requestBody": body("application/json", json!({
                "type": "object", "required": ["group", "target", "draining"], "additionalProperties": false,
                "properties": { "group": { "type": "string" }, "target": { "type": "string" }, "draining": { "type": "boolean" } }
            })),
            "responses": {
                "200": { "description": "How it is now.", "content": { "application/json": { "schema": {
                    "$ref": "#/components/schemas/GroupTarget" } } } },
                "404": failure("There is no such target.")
            }
        }
    })
}

fn object(properties: Value) -> Value {
    json!({ "type": "object", "properties": properties })
}

fn refusal() -> Value {
    let (text, number) = (json!({ "type": "string" }), json!({ "type": "integer" }));
    let wrong = object(json!({
        "file": text, "line": number, "column": number, "flag": text, "what": text, "mend": text
    }));
    let errors = json!({ "type": "array", "description": "What is wrong with the configuration, and where.", "items": wrong });
    object(json!({ "error": text, "mend": text, "errors": errors }))
}

fn explaining() -> Value {
    json!({ "post": {
        "summary": "What would become of a message, and why; nothing is sent or changed",
        "requestBody": body("application/json", json!({ "$ref": "#/components/schemas/Explain" })),
        "responses": { "200": answer("The explanation.", "Explanation"),
                       "422": failure("There is no message, or what is said of it makes no sense.") }
    } })
}

fn explain() -> Value {
    let perhaps = |description: &str| json!({ "type": ["string", "null"], "description": description });
    object(json!({
        "message": perhaps("The message as text."),
        "message_hex": perhaps("Or its bytes in hexadecimal."),
        "source": perhaps("Where it comes from, as 192.0.2.7:5060; else what its top Via says."),
        "listener": perhaps("The listener that it comes to, as udp:192.0.2.1:5060; else the first that fits."),
        "at": perhaps("When: Unix seconds, 2026-11-27T23:00:00Z, or from now as +10m."),
        "as": perhaps("The user whose right credentials it would have if they were asked for; its own are then left out."),
        "dns": perhaps("Records, one to a line, that are asked instead of DNS.")
    }))
}

fn explanation() -> Value {
    let text = json!({ "type": "string" });
    let number = json!({ "type": "integer", "minimum": 0 });
    let list = |description: &str| json!({ "type": "array", "items": { "type": "object" }, "description": description });
    let part = |description: &str| json!({ "type": "object", "description": description });
    object(json!({
        "verdict": object(json!({
            "outcome": { "enum": ["forwarded", "answered", "redirected", "challenged", "refused", "absorbed", "passed-back",
                                  "dropped"] },
            "status": { "type": ["integer", "null"], "description": "The Status-Code of the node's own answer." },
            "role": { "type": ["string", "null"] },
            "line": text
        })),
        "ground": { "enum": ["live", "candidate"] },
        "at": number,
        "arrival": part("How the message came, and what of that was assumed."),
        "message": part("The message as it was read."),
        "remarks": list("What is malformed or odd, each with its clause."),
        "steps": list("What was found and decided, in this order; `step` says what kind it is."),
        "sent": list("The messages that would be sent."),
        "changed": list("The bindings that would be changed."),
        "later": list("What would be sent later if nobody answered."),
        "log": { "type": "array", "items": text }
    }))
}

fn config_status() -> Value {
    object(json!({
        "file": { "type": ["string", "null"] }, "generation": { "type": "integer" },
        "since": { "type": "integer", "description": "Seconds since the Unix epoch." },
        "rollback_in": { "type": ["integer", "null"], "description": "Seconds until the former configuration comes back." },
        "stuck": { "type": ["string", "null"], "description": "Why the former one has not come back although the time is over." }
    }))
}

fn imported() -> Value {
    let number = json!({ "type": "integer", "minimum": 0 });
    object(json!({
        "added": number, "changed": number, "failures": number,
        "failed": { "type": "array", "items": object(json!({ "line": number, "error": { "type": "string" } })) }
    }))
}

fn target() -> Value {
    let (text, number) = (
        json!({ "type": "string" }),
        json!({ "type": "integer", "minimum": 0 }),
    );
    object(json!({
        "id": text, "group": text, "target": text, "state": { "enum": ["up", "down", "draining"] },
        "calls": number, "chosen": number
    }))
}

fn dns_entry() -> Value {
    let text = json!({ "type": "string" });
    object(json!({
        "id": text, "name": { "type": "string", "description": "A host name, or a hop as udp:192.0.2.7:5060." },
        "wanted": { "type": "string", "description": "What was asked of the name." },
        "state": { "enum": ["found", "none", "failed", "avoided"] },
        "servers": { "type": "array", "items": text, "description": "RANK WEIGHT TRANSPORT:ADDRESS:PORT; * is left to the URI." },
        "expires_in": { "type": "integer", "minimum": 0, "description": "Seconds." }
    }))
}

fn trunk() -> Value {
    let (text, perhaps_text) = (json!({ "type": "string" }), json!({ "type": ["string", "null"] }));
    let seconds = |of: &str| json!({ "type": ["integer", "null"], "minimum": 0, "description": format!("Seconds until {of}.") });
    object(json!({
        "name": text, "aor": text, "registrar": text,
        "state": { "enum": ["registering", "registered", "failing", "removing"] },
        "why": { "type": ["string", "null"], "description": "Why the last attempt came to nothing." },
        "since": { "type": "integer", "description": "Seconds since the Unix epoch." },
        "expires_in": seconds("the registration expires"),
        "next_in": seconds("it is refreshed or tried again"),
        "contact": perhaps_text, "address": perhaps_text, "service_route": perhaps_text, "path": perhaps_text
    }))
}

fn registration() -> Value {
    let (text, number) = (
        json!({ "type": "string" }),
        json!({ "type": "integer", "minimum": 0 }),
    );
    let perhaps_text = json!({ "type": ["string", "null"] });
    object(json!({
        "aor": text, "contact": text, "expires_in": number,
        "registered_for": { "type": ["integer", "null"], "minimum": 0, "description": "Seconds." }, "q": { "type": ["integer", "null"], "description": "Thousandths." },
        "transport": text, "source": perhaps_text, "user_agent": perhaps_text,
        "instance": perhaps_text, "path": perhaps_text, "call_id": text, "cseq": number
    }))
}

fn schemas() -> Value {
    let text = json!({ "type": "string" });
    let perhaps_text = json!({ "type": ["string", "null"] });
    let number = json!({ "type": "integer", "minimum": 0 });
    let perhaps_number = json!({ "type": ["integer", "null"], "minimum": 0, "description": "Seconds until the former configuration comes back." });
    let texts = json!({ "type": "array", "items": { "type": "string" } });
    json!({
        "Error": object(json!({ "error": text, "mend": text })),
        "Refusal": refusal(),
        "Reloaded": object(json!({
            "generation": number, "added": texts, "removed": texts, "rollback_in": perhaps_number
        })),
        "Status": object(json!({
            "version": text, "pid": number, "uptime": number,
            "state": { "enum": ["running", "draining"] },
            "listeners": texts, "admin": perhaps_text, "shards": number, "domains": texts, "data_dir": text,
            "auth": object(json!({ "methods": texts, "algorithms": texts, "because": text })),
            "counts": object(json!({
                "users": number, "registered": number, "contacts": number, "calls": number,
                "transactions": number, "connections": number, "bans": number
            })),
            "config": config_status(),
            "failing": { "type": ["string", "null"], "description": "Why registrations can't be stored, and what mends it." }
        })),
        "Registration": registration(),
        "Subscription": object(json!({
            "id": text, "event": text, "aor": text, "subscriber": text, "expires_in": number, "notified": number,
            "transport": text, "source": text, "call_id": text
        })),
        "Call": object(json!({
            "call_id": text, "from": text, "to": text,
            "state": { "enum": ["trying", "ringing", "established", "cancelling"] },
            "since": { "type": "integer", "description": "Seconds since the Unix epoch." },
            "branches": number, "source": perhaps_text
        })),
        "Ban": object(json!({
            "id": text, "source": text, "account": perhaps_text,
            "since": { "type": "integer", "description": "Seconds since the Unix epoch." },
            "expires_in": { "type": "integer", "description": "Seconds." }
        })),
        "Explain": explain(),
        "Explanation": explanation(),
        "GroupTarget": target(),
        "Trunk": trunk(),
        "DnsEntry": dns_entry(),
        "DnsFlushed": object(json!({ "names": number, "hops": number })),
        "User": object(json!({
            "address": text, "display_name": perhaps_text, "aliases": texts,
            "contacts": { "type": ["integer", "null"], "description": "Registered contacts." }
        })),
        "NewUser": { "type": "object", "required": ["address", "password"], "additionalProperties": false, "properties": {
            "address": text, "password": { "type": "string", "minLength": 1, "maxLength": 256 },
            "display_name": perhaps_text, "aliases": texts
        } },
        "Import": imported()
    })
}
