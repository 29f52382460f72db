//! Objects and their properties.

use serde_json::Value;
use southbridge_protocol_qmp::Error;

use super::device::spelled;
use super::{Result, refuse};
use crate::Cx;
use crate::schema::{
    ObjectDelArgs, ObjectOptions, ObjectPropertyInfo, ObjectTypeInfo, QomGetArgs, QomListArgs, QomListPropertiesArgs,
    QomListTypesArgs, QomSetArgs,
};
use crate::tree::{self, Node};

pub(super) fn qom_list(cx: &mut Cx<'_>, args: QomListArgs) -> Result<Vec<ObjectPropertyInfo>> {
    let node = tree::resolve(cx, &args.path)?;
    Ok(tree::list(cx, &node).into_iter().map(|p| p.info).collect())
}

pub(super) fn qom_get(cx: &mut Cx<'_>, args: QomGetArgs) -> Result<Value> {
    let node = tree::resolve(cx, &args.path)?;
    if let Some(value) = super::balloon::get(cx, &node, &args.property) {
        return Ok(value);
    }
    match find(cx, &node, &args.property)?.value {
        Some(value) => Ok(value),
        None => refuse(format!("{} is not readable", owned(cx, &node, &args.property))),
    }
}

fn owned(cx: &Cx<'_>, node: &Node, property: &str) -> String {
    format!("Property '{}.{property}'", tree::type_name(cx, node))
}

fn find(cx: &Cx<'_>, node: &Node, property: &str) -> Result<tree::Listed> {
    let found = tree::list(cx, node).into_iter().find(|p| p.info.name == property);
    found.ok_or_else(|| Error::generic(format!("{} not found", owned(cx, node, property))))
}

pub(super) fn qom_set(cx: &mut Cx<'_>, args: QomSetArgs) -> Result<()> {
    let node = tree::resolve(cx, &args.path)?;
    let property = args.property.as_str();
    if let Some(done) = super::balloon::set(cx, &node, property, &args.value) {
        return done;
    }
    let old = find(cx, &node, property)?;
    let of = old.info.r#type.as_str();
    match (&node, property) {
        (Node::Machine, _) if cx.world.notes.contains_key(property) => {
            let fits = match of {
                "string" => args.value.is_string().then_some(()).ok_or("string"),
                "bool" => args.value.is_boolean().then_some(()).ok_or("boolean"),
                _ => args.value.is_i64().then_some(()).ok_or("integer"),
            };
            fits.map_err(|kind| Error::generic(format!("Invalid parameter type for '{property}', expected: {kind}")))?;
            cx.world.notes.insert(property.to_owned(), args.value);
            Ok(())
        }
        (Node::Device(_) | Node::Fixed(_), "realized") => match args.value {
            Value::Bool(true) => Ok(()),
            Value::Bool(false) => refuse("a device cannot be unplugged this way: use device_del"),
            _ => refuse("Invalid parameter type for 'realized', expected: boolean"),
        },
        // A link that leads nowhere may lead nowhere again.
        _ if of == "link<irq>" && args.value == "" && old.value.as_ref().is_some_and(|v| v == "") => Ok(()),
        _ if tree::is_fixed_when_made(&node, property, of) => {
            let of = tree::type_name(cx, &node);
            let id = match &node {
                Node::Device(id) => cx.machine.sys.slot(*id).and_then(|s| s.id.clone()),
                _ => None,
            };
            let whose = id.map_or_else(|| "anonymous device".to_owned(), |id| format!("device '{id}'"));
            refuse(format!(
                "Attempt to set property '{property}' on {whose} (type '{of}') after it was realized"
            ))
        }
        _ => refuse(format!("{} is not writable", owned(cx, &node, property))),
    }
}

pub(super) fn qom_list_types(cx: &mut Cx<'_>, args: QomListTypesArgs) -> Result<Vec<ObjectTypeInfo>> {
    let all = tree::types(cx.world, true);
    let is_a = |t: &ObjectTypeInfo, what: &str| {
        let mut name = Some(t.name.as_str());
        while let Some(n) = name {
            if n == what {
                return true;
            }
            name = all.iter().find(|t| t.name == n).and_then(|t| t.parent.as_deref());
        }
        false
    };
    let wanted = |t: &&ObjectTypeInfo| {
        (args.r#abstract == Some(true) || t.r#abstract.is_none())
            && args.implements.as_ref().is_none_or(|what| is_a(t, what))
    };
    Ok(all.iter().filter(wanted).cloned().collect())
}

pub(super) fn qom_list_properties(cx: &mut Cx<'_>, args: QomListPropertiesArgs) -> Result<Vec<ObjectPropertyInfo>> {
    if let Some(t) = cx.world.registry.get(&args.typename) {
        return Ok(tree::class_properties(t));
    }
    if let Ok(t) = southbridge_machine::objects::find(&args.typename) {
        return Ok(t.properties.iter().map(tree::property_info).collect());
    }
    if tree::types(cx.world, true).iter().any(|t| t.name == args.typename) {
        return Ok(vec![tree::type_property()]);
    }
    Err(Error::no_device(format!("there is no type '{}'", args.typename)))
}

pub(super) fn object_add(cx: &mut Cx<'_>, args: ObjectOptions) -> Result<()> {
    let Ok(Value::Object(members)) = serde_json::to_value(&args) else {
        return refuse("the object has no members");
    };
    if !southbridge_cli::keyval::value::is_id(&args.id) {
        return refuse(format!(
            "'id' cannot be '{}'; it takes {}",
            args.id,
            southbridge_cli::keyval::value::EXPECT_ID
        ));
    }
    let of = members.get("qom-type").and_then(Value::as_str).unwrap_or_default();
    let own = members.iter().filter(|(n, _)| !matches!(n.as_str(), "qom-type" | "id"));
    let words: Vec<_> = own.filter_map(|(n, v)| Some((n.as_str(), spelled(v)?))).collect();
    let pairs = words.iter().map(|(n, v)| (*n, v.as_str()));
    let (objects, find) = cx.world.objects_and_backends();
    objects
        .add(&mut cx.machine.sys, &find, of, &args.id, pairs)
        .map_err(|e| Error::generic(e.to_string()))
}

pub(super) fn object_del(cx: &mut Cx<'_>, args: ObjectDelArgs) -> Result<()> {
    if cx.world.objects.is_used(&cx.machine.sys, &args.id) {
        return refuse(format!("object '{}' is in use, can not be deleted", args.id));
    }
    match cx.world.objects.remove(&mut cx.machine.sys, &args.id) {
        true => Ok(()),
        false => refuse(format!("there is no object '{}'", args.id)),
    }
}
