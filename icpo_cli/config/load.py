"""Layers to one Config: schema defaults, the method's preset, files left to right, then key=value."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from icpo_cli.config.schema import Config
from icpo_cli.errors import UserError

PACKAGE = Path(__file__).parent.parent
PRESETS = PACKAGE / "config" / "methods"


@dataclass(frozen=True)
class Layer:
    """Settings from one place, which error messages name."""

    origin: str
    values: dict[str, Any]


def load_config(arguments: Sequence[str], beneath: Sequence[Layer] = ()) -> Config:
    """The Config of a command line's FILE.yaml and key=value arguments, over the layers `beneath` them.

    Raises UserError, one line naming the file or argument, the key, and what is allowed.
    """
    overrides = [argument for argument in arguments if is_override(argument)]
    files = [Path(argument) for argument in arguments if not is_override(argument)]
    layers = [layer for file in files for layer in file_layers(file)]
    layers += [override_layer(override) for override in overrides]
    return resolve([*beneath, *layers])


def load_training(arguments: Sequence[str]) -> Config:
    """As load_config; without a FILE.yaml, over the quickstart."""
    files = any(not is_override(argument) for argument in arguments)
    return load_config(arguments if files else [str(experiment_file("quickstart.yaml")), *arguments])


def resolve(layers: Sequence[Layer]) -> Config:
    """Layers, lowest first, over the schema's defaults and the preset that the last `method` names."""
    layers = [Layer(layer.origin, _with_method_name(layer.values)) for layer in layers]
    name = Config().method.name
    for layer in layers:
        method = layer.values.get("method")
        if isinstance(method, dict) and "name" in method:
            name = method["name"]
    layers = [_preset(str(name)), *layers]
    values: dict[str, Any] = {}
    for layer in layers:
        _check_keys(layer.values, Config, "", layer.origin)
        _check_plain(layer)
        values = lay_over(values, layer.values)
    try:
        tree = OmegaConf.merge(_schema(), values)
    except OmegaConfBaseException:
        tree = _merge_one_by_one(layers)  # raises too, and knows which layer is at fault
    config = OmegaConf.to_object(tree)
    assert isinstance(config, Config)
    return config


def to_tree(config: Config) -> dict[str, Any]:
    """The Config as plain nested dicts and lists."""
    return dataclasses.asdict(config)


def to_yaml(config: Config) -> str:
    """The resolved configuration: enough to repeat the run."""
    return yaml.safe_dump(to_tree(config), sort_keys=False, allow_unicode=True)


def lay_over(beneath: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Sections are merged, everything else is replaced."""
    both = {
        key: lay_over(beneath[key], value)
        for key, value in values.items()
        if isinstance(value, dict) and isinstance(beneath.get(key), dict)
    }
    return {**beneath, **values, **both}


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dicts and lists to {"a.b.0.c": leaf}; an empty one stays a leaf."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else None
    if items is None or not tree:
        return {prefix: tree}
    flat: dict[str, Any] = {}
    for key, value in items:
        flat |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def diff(left: Config, right: Config) -> dict[str, tuple[Any, Any]]:
    """Dotted keys whose values differ, absent ones as None."""
    a, b = flatten(to_tree(left)), flatten(to_tree(right))
    return {key: (a.get(key), b.get(key)) for key in sorted(a | b) if a.get(key) != b.get(key)}


def is_override(argument: str) -> bool:
    """key=value, as against the name of a file."""
    return "=" in argument and not Path(argument).is_file()


def experiment_file(name: str) -> Path:
    """A shipped experiment: inside an installed package, beside it in a checkout."""
    inside = PACKAGE / "experiments" / name
    return inside if inside.is_file() else PACKAGE.parent / "experiments" / name


def preset_names() -> list[str]:
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def nearest(word: str, valid: Sequence[str]) -> str:
    """'; nearest: X' or '; allowed: A, B, ...' for an error message."""
    close = difflib.get_close_matches(word, valid, n=1, cutoff=0.5)
    return f"; nearest: {close[0]}" if close else f"; allowed: {', '.join(valid)}"


def file_layers(path: Path, parents: tuple[Path, ...] = ()) -> list[Layer]:
    """A file's layers: those it includes first, then its own. Raises UserError."""
    if path.resolve() in parents:
        raise UserError(f"{path}: includes itself")
    named = read_yaml(path)
    include = named.pop("include", [])
    layers: list[Layer] = []
    for name in [include] if isinstance(include, str) else include:
        layers += file_layers(path.parent / name, (*parents, path.resolve()))
    return [*layers, Layer(str(path), named)]


def read_yaml(path: Path) -> dict[str, Any]:
    """A file's keys and values. Raises UserError."""
    try:
        values = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: must hold keys and values, not {type(values).__name__}")
    return typing.cast(dict[str, Any], values)


def override_layer(text: str) -> Layer:
    """Of one key=value. Raises UserError."""
    try:
        values = OmegaConf.to_container(OmegaConf.from_dotlist([text]), resolve=False)
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"{text}: not a key=value: {' '.join(str(error).split())}") from None
    return Layer(text, typing.cast(dict[str, Any], values))


def _with_method_name(values: dict[str, Any]) -> dict[str, Any]:
    """`method: icpo` is short for `method: {name: icpo}`."""
    return {**values, "method": {"name": values["method"]}} if isinstance(values.get("method"), str) else values


def _preset(name: str) -> Layer:
    """A preset, or one with another one's bonus on it: rloo+icpo. Raises UserError."""
    own, *bonuses = name.split("+")
    values = _preset_values(own)
    for bonus in bonuses:
        method = _preset_values(bonus)["method"]
        if method["bonus"] == "none":
            raise UserError(f"method: {name}: {bonus} has no bonus to add")
        if values["method"]["bonus"] != "none":
            raise UserError(f"method: {name}: there is a bonus already, and a reward takes one")
        values = lay_over(values, {"method": method})
    return Layer(f"preset {name}", lay_over({"method": {"name": name}}, values))


def _preset_values(name: str) -> dict[str, Any]:
    if name not in preset_names():
        raise UserError(f"method: unknown method '{name}'{nearest(name, preset_names())}")
    return typing.cast(dict[str, Any], yaml.safe_load((PRESETS / f"{name}.yaml").read_text()))


@cache
def _schema() -> DictConfig:
    """The schema's defaults. Merging leaves it as it is."""
    tree = OmegaConf.structured(Config)
    # Frozen dataclasses make read-only nodes; layering is the one writer, before the Config exists.
    _set_writable(tree)
    return typing.cast(DictConfig, tree)


def _merge_one_by_one(layers: Sequence[Layer]) -> DictConfig:
    """Raises UserError for the first layer with a value that its key does not take."""
    tree = _schema()
    for layer in layers:
        try:
            tree = typing.cast(DictConfig, OmegaConf.merge(tree, layer.values))
        except OmegaConfBaseException as error:
            key = error.full_key or next(iter(layer.values), "")
            raise UserError(f"{layer.origin}: {key}: {_explain(key, layer.values)}") from None
        _set_writable(tree)
    return tree


def _check_plain(layer: Layer) -> None:
    for key, value in flatten(layer.values).items():
        if isinstance(value, str) and "${" in value:
            raise UserError(f"{layer.origin}: {key}: '${{' is not allowed: values are taken as they are written")


def _set_writable(node: Any) -> None:
    if OmegaConf.is_config(node):
        OmegaConf.set_readonly(node, False)
        keys = node.keys() if OmegaConf.is_dict(node) else range(len(node))
        if not node._is_none():
            for key in keys:
                _set_writable(node._get_node(key))


def _explain(key: str, values: dict[str, Any]) -> str:
    """What is wrong with the value at `key`, in words."""
    expected = _field_type(Config, key.split("."))
    value = flatten(values).get(key)
    if typing.get_origin(expected) is typing.Literal:
        allowed = [str(choice) for choice in typing.get_args(expected)]
        return f"unknown value '{value}'{nearest(str(value), allowed)}"
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    shown = "nothing" if value is None else repr(value)
    return f"{shown} is not {words.get(expected, 'what this key takes')}"


def _check_keys(values: Any, schema: Any, prefix: str, origin: str) -> None:
    """Refuse keys that the schema has not, naming the nearest; only dataclasses have fixed keys."""
    if not dataclasses.is_dataclass(schema):
        return
    if not isinstance(values, dict):
        if values is not None:
            raise UserError(f"{origin}: {prefix}: {values!r} is not a section; its keys: {', '.join(_keys(schema))}")
        return
    for key, value in values.items():
        path = f"{prefix}.{key}" if prefix else str(key)
        if key not in _keys(schema):
            raise UserError(f"{origin}: unknown key '{path}'{_nearest_key(path)}")
        expected = _field_type(schema, [str(key)])
        if typing.get_origin(expected) is list and isinstance(value, list):
            for index, item in enumerate(value):
                _check_keys(item, typing.get_args(expected)[0], f"{path}.{index}", origin)
        else:
            _check_keys(value, expected, path, origin)


def _keys(schema: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(schema)]


def _field_type(schema: Any, path: list[str]) -> Any:
    """The type of a dotted key, Optional and list unwrapped on the way; None where there is none."""
    if not path:
        return schema
    if path[0].isdigit():
        return _field_type(schema, path[1:])
    if not dataclasses.is_dataclass(schema) or path[0] not in _keys(schema):
        return None
    hint = typing.get_type_hints(schema)[path[0]]
    if typing.get_origin(hint) in (types.UnionType, typing.Union):  # the second with a Literal in it
        hint = next(choice for choice in typing.get_args(hint) if choice is not type(None))
    if len(path) > 1 and typing.get_origin(hint) is list:
        hint = typing.get_args(hint)[0]
    return _field_type(hint, path[1:])


def _nearest_key(path: str) -> str:
    """The nearest valid dotted key: by the whole path, else by its last part alone."""
    valid = list(_all_keys(Config, ""))
    close = difflib.get_close_matches(path, valid, n=1, cutoff=0.7)
    last = {key.rsplit(".", 1)[-1]: key for key in valid}
    close = close or [last[name] for name in difflib.get_close_matches(path.rsplit(".", 1)[-1], list(last), n=1)]
    return f"; nearest: {close[0]}" if close else f"; sections: {', '.join(_keys(Config))}"


def _all_keys(schema: Any, prefix: str) -> Iterator[str]:
    for key in _keys(schema):
        path = f"{prefix}.{key}" if prefix else key
        yield path
        inner = _field_type(schema, [key])
        if dataclasses.is_dataclass(inner):
            yield from _all_keys(inner, path)
