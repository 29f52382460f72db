use super::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn the_text_has_no_faults() {
    assert_eq!(schema().faults(), Vec::<String>::new());
    assert!(schema().command("query-status").is_some());
}

#[test]
fn introspection_refers_to_what_it_has() {
    let all = introspect(schema());
    let names: BTreeSet<_> = all.iter().filter_map(|e| e["name"].as_str()).collect();
    assert_eq!(names.len(), all.len(), "names are unique");
    for e in &all {
        let mut refs: Vec<&Value> = ["arg-type", "ret-type", "element-type"]
            .iter()
            .filter_map(|k| e.get(k))
            .collect();
        for list in ["members", "variants"] {
            let inner = e.get(list).and_then(Value::as_array).into_iter().flatten();
            refs.extend(inner.filter_map(|m| m.get("type")));
        }
        for r in refs {
            assert!(names.contains(r.as_str().unwrap()), "{e}");
        }
    }
    check_answer(schema(), "query-qmp-schema", &Value::Array(all.clone())).unwrap();
    // The way a client walks: what does `chardev-add` take as the path of a unix socket?
    let by: BTreeMap<_, _> = all.iter().map(|e| (e["name"].as_str().unwrap(), e)).collect();
    let member = |of: &Value, name: &str| {
        let members = by[of.as_str().unwrap()]["members"].as_array().unwrap();
        members.iter().find(|m| m["name"] == name).unwrap()["type"].clone()
    };
    let case = |of: &Value, name: &str| {
        let variants = by[of.as_str().unwrap()]["variants"].as_array().unwrap();
        variants.iter().find(|m| m["case"] == name).unwrap()["type"].clone()
    };
    let socket = case(&member(&by["chardev-add"]["arg-type"], "backend"), "socket");
    let address = case(&member(&member(&socket, "data"), "addr"), "unix");
    assert_eq!(member(&member(&address, "data"), "path"), "str");
}

#[test]
fn arguments_are_checked() {
    let check = |command: &str, args: Value| check_arguments(schema(), command, args.as_object().unwrap());
    assert_eq!(check("qom-get", json!({"path": "/", "property": "type"})), Ok(()));
    assert!(
        check("qom-get", json!({"path": "/"}))
            .unwrap_err()
            .contains("'property' is missing")
    );
    assert!(
        check("qom-get", json!({"path": 5, "property": ""}))
            .unwrap_err()
            .contains("'path' must be")
    );
    assert!(check("stop", json!({"x": 1})).unwrap_err().contains("no 'x'"));
    assert!(
        check("set-action", json!({"reboot": "x"}))
            .unwrap_err()
            .contains("shutdown")
    );
    assert_eq!(check("device_add", json!({"driver": "x", "any": {"a": 1}})), Ok(()));
    let socket = |addr: Value| json!({"id": "x", "backend": {"type": "socket", "data": {"addr": addr}}});
    assert_eq!(
        check("chardev-add", socket(json!({"type": "unix", "data": {"path": "p"}}))),
        Ok(())
    );
    let error = check("chardev-add", socket(json!({"type": "unix", "data": {"port": "p"}}))).unwrap_err();
    assert_eq!(error, "'backend.data.addr.data.path' is missing");
    assert!(
        check("chardev-add", json!({"id": "x", "backend": {"type": "nosuch"}}))
            .unwrap_err()
            .contains("backend.type")
    );
    assert!(
        check(
            "object-add",
            json!({"qom-type": "ivshmem-server", "id": "s", "path": "p", "vectors": 70000})
        )
        .is_err()
    );
}

#[test]
fn types_and_text_agree() {
    let backend = json!({"type": "socket", "data": {"addr": {"type": "unix", "data": {"path": "p"}}, "server": true}});
    let read: ChardevBackend = serde_json::from_value(backend.clone()).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), backend);
    let object = json!({"qom-type": "ivshmem-server", "id": "s", "path": "p"});
    let read: ObjectOptions = serde_json::from_value(object.clone()).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), object);
}

/// `SOUTHBRIDGE_BLESS=1` writes the page anew.
#[test]
fn the_page_of_the_book_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/qmp-reference.md");
    let page = page(schema());
    if std::env::var_os("SOUTHBRIDGE_BLESS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).unwrap_or_default() == page,
        "write it anew with SOUTHBRIDGE_BLESS=1"
    );
}
