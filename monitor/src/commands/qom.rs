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
use crate::tree;

pub(super) fn qom_list(cx: &mut Cx<'_>, args: QomListArgs) -> Result<Vec<ObjectPropertyInfo>> {
    let node = tree::resolve(cx, &args.path)?;
    Ok(tree::list(cx, &node).into_iter().map(|p| p.info).collect())
}

pub(super) fn qom_get(cx: &mut Cx<'_>, args: QomGetArgs) -> Result<Value> {
    let node = tree::resolve(cx, &args.path)?;
    let found = tree::list(cx, &node).into_iter().find(|p| p.info.name == args.property);
    match found {
        None => refuse(format!(
            "'{}' ({}) has no property '{}'",
            args.path,
            tree::type_name(cx, &node),
            args.property
        )),
        Some(p) => match p.value {
            Some(value) => Ok(value),
            None => refuse(format!("the property '{}' has no value", args.property)),
        },
    }
}

pub(super) fn qom_set(cx: &mut Cx<'_>, args: QomSetArgs) -> Result<()> {
    let node = tree::resolve(cx, &args.path)?;
    let of = tree::type_name(cx, &node);
    match tree::list(cx, &node).iter().any(|p| p.info.name == args.property) {
        true => refuse(format!(
            "the property '{}' of {of} is fixed once the object stands",
            args.property
        )),
        false => refuse(format!("'{}' ({of}) has no property '{}'", args.path, args.property)),
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
    cx.world
        .objects
        .add(&mut cx.machine.sys, of, &args.id, pairs)
        .map_err(|e| Error::generic(e.to_string()))
}

pub(super) fn object_del(cx: &mut Cx<'_>, args: ObjectDelArgs) -> Result<()> {
    match cx.world.objects.remove(&mut cx.machine.sys, &args.id) {
        true => Ok(()),
        false => refuse(format!("there is no object '{}'", args.id)),
    }
}
