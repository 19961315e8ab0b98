"""Merging of layers to one typed record: schema defaults, the method's preset, files left to right, then key=value."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from icpo_cli.config.schema import Config
from icpo_cli.errors import UserError

PACKAGE = Path(__file__).parent.parent
PRESETS = PACKAGE / "config" / "methods"
RENAMED_KEYS = {
    "rollout.spread_share": "rollout.min_std_ratio",
    "rollout.spread_decay": "rollout.std_ema_decay",
}
"""{key of an earlier version: its name now}."""

TYPE_WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    list: "a list",
    dict: "a section of keys and values",
}

T = TypeVar("T")


@dataclass(frozen=True)
class Layer:
    """Settings from one file or argument."""

    origin: str
    """The file or argument, for error messages."""
    values: dict[str, Any]


def load_config(arguments: Sequence[str], base_layers: Sequence[Layer] = ()) -> Config:
    """Load the Config of FILE.yaml and key=value arguments, over `base_layers`.

    Raises UserError, one line with the file or argument, the key, and what is allowed.
    """
    overrides = [argument for argument in arguments if is_override(argument)]
    files = [Path(argument) for argument in arguments if not is_override(argument)]
    layers = [layer for file in files for layer in file_layers(file)]
    layers += [override_layer(override) for override in overrides]
    return resolve([*base_layers, *layers])


def load_training(arguments: Sequence[str]) -> Config:
    """Load the Config of a training run; without a FILE.yaml, over the quickstart."""
    files = any(not is_override(argument) for argument in arguments)
    return load_config(arguments if files else [str(experiment_file("quickstart.yaml")), *arguments])


def resolve(layers: Sequence[Layer]) -> Config:
    """Merge layers, lowest first, over the schema's defaults and the preset that the last `method` names."""
    layers = [Layer(layer.origin, _expand_method(layer.values)) for layer in layers]
    name = Config().method.name
    for layer in layers:
        method = layer.values.get("method")
        if isinstance(method, dict) and "name" in method:
            name = method["name"]
    return load_layers(Config, [_preset(str(name)), *layers])


def load_layers(schema: type[T], layers: Sequence[Layer]) -> T:
    """Merge layers, lowest first, over the defaults of the dataclass `schema`: unknown keys and wrong types are errors.

    Raises UserError, one line with the layer's origin, the key, and what is allowed.
    """
    values: dict[str, Any] = {}
    for layer in layers:
        _check_keys(layer.values, schema, "", layer.origin, schema)
        _check_no_interpolation(layer)
        values = deep_merge(values, layer.values)
    try:
        tree = OmegaConf.merge(_defaults(typing.cast(Any, schema)), values)
    except OmegaConfBaseException:
        tree = _merge_one_by_one(schema, layers)  # raises too, with the layer that is wrong
    loaded = OmegaConf.to_object(tree)
    assert isinstance(loaded, schema)
    return loaded


def to_tree(config: Config) -> dict[str, Any]:
    """Convert the Config to plain nested dicts and lists."""
    return dataclasses.asdict(config)


def to_yaml(config: Config) -> str:
    """Convert the Config to YAML that loads as the same Config."""
    return yaml.safe_dump(to_tree(config), sort_keys=False, allow_unicode=True)


def deep_merge(base: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Merge `values` over `base`: dicts are merged, everything else is replaced."""
    both = {
        key: deep_merge(base[key], value)
        for key, value in values.items()
        if isinstance(value, dict) and isinstance(base.get(key), dict)
    }
    return {**base, **values, **both}


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Flatten nested dicts and lists to {"a.b.0.c": leaf}; an empty one is a leaf."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else None
    if items is None or not tree:
        return {prefix: tree}
    flat: dict[str, Any] = {}
    for key, value in items:
        flat |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def diff(left: Config, right: Config) -> dict[str, tuple[Any, Any]]:
    """Return the dotted keys whose values differ, with both values; a missing key has None."""
    a, b = flatten(to_tree(left)), flatten(to_tree(right))
    return {key: (a.get(key), b.get(key)) for key in sorted(a | b) if a.get(key) != b.get(key)}


def is_override(argument: str) -> bool:
    """Whether an argument is key=value and not the name of a file."""
    return "=" in argument and not Path(argument).is_file()


def experiment_file(name: str) -> Path:
    """Path of a shipped experiment, in an installed package or in a checkout."""
    inside = PACKAGE / "experiments" / name
    return inside if inside.is_file() else PACKAGE.parent / "experiments" / name


def preset_names() -> list[str]:
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def nearest(word: str, valid: Sequence[str]) -> str:
    """Return '; nearest: X' or '; allowed: A, B, ...', to end an error message."""
    close = difflib.get_close_matches(word, valid, n=1, cutoff=0.5)
    return f"; nearest: {close[0]}" if close else f"; allowed: {', '.join(valid)}"


def file_layers(path: Path, parents: tuple[Path, ...] = ()) -> list[Layer]:
    """Read a file's layers: first the files it includes, then its own keys. Raises UserError."""
    if path.resolve() in parents:
        raise UserError(f"{path}: includes itself")
    values = read_yaml(path)
    include = values.pop("include", [])
    layers: list[Layer] = []
    for name in [include] if isinstance(include, str) else include:
        layers += file_layers(path.parent / name, (*parents, path.resolve()))
    return [*layers, Layer(str(path), values)]


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a file's keys and values. Raises UserError."""
    try:
        values = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: must contain keys and values, not {type(values).__name__}")
    return typing.cast(dict[str, Any], values)


def override_layer(text: str) -> Layer:
    """Parse one key=value argument. Raises UserError."""
    try:
        values = OmegaConf.to_container(OmegaConf.from_dotlist([text]), resolve=False)
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"{text}: not a key=value: {' '.join(str(error).split())}") from None
    return Layer(text, typing.cast(dict[str, Any], values))


def field_type(schema: Any, path: Sequence[str]) -> Any:
    """Type of a dotted key, Optional and list unwrapped on the way; None if there is no such key."""
    if not path:
        return schema
    if path[0].isdigit():
        return field_type(schema, path[1:])
    if not dataclasses.is_dataclass(schema) or path[0] not in _keys(schema):
        return None
    hint = typing.get_type_hints(schema)[path[0]]
    if typing.get_origin(hint) in (types.UnionType, typing.Union):  # typing.Union if it contains a Literal
        hint = next(choice for choice in typing.get_args(hint) if choice is not type(None))
    if len(path) > 1 and typing.get_origin(hint) is list:
        hint = typing.get_args(hint)[0]
    return field_type(hint, path[1:])


def _expand_method(values: dict[str, Any]) -> dict[str, Any]:
    """Expand `method: icpo` to `method: {name: icpo}`."""
    return {**values, "method": {"name": values["method"]}} if isinstance(values.get("method"), str) else values


def _preset(name: str) -> Layer:
    """Layer of a preset, or of one with another's bonus: rloo+icpo. Raises UserError."""
    own, *bonuses = name.split("+")
    values = _preset_values(own)
    for bonus in bonuses:
        method = _preset_values(bonus)["method"]
        if method["bonus"] == "none":
            raise UserError(f"method: {name}: {bonus} has no bonus to add")
        if values["method"]["bonus"] != "none":
            raise UserError(f"method: {name}: has two bonuses, but only one is allowed")
        values = deep_merge(values, {"method": method})
    return Layer(f"preset {name}", deep_merge({"method": {"name": name}}, values))


def _preset_values(name: str) -> dict[str, Any]:
    if name not in preset_names():
        raise UserError(f"method: unknown method '{name}'{nearest(name, preset_names())}")
    return typing.cast(dict[str, Any], yaml.safe_load((PRESETS / f"{name}.yaml").read_text()))


@cache
def _defaults(schema: Any) -> DictConfig:
    """The schema's defaults as a typed tree, made writable. OmegaConf.merge copies it."""
    tree = OmegaConf.structured(schema)
    _set_writable(tree)
    return typing.cast(DictConfig, tree)


def _merge_one_by_one(schema: Any, layers: Sequence[Layer]) -> DictConfig:
    """Raise UserError for the first layer with a value of a wrong type."""
    tree = _defaults(schema)
    for layer in layers:
        try:
            tree = typing.cast(DictConfig, OmegaConf.merge(tree, layer.values))
        except OmegaConfBaseException as error:
            key = (error.full_key or next(iter(layer.values), "")).replace("[", ".").replace("]", "")
            value, expected = _value_at(layer.values, key), field_type(schema, key.split("."))
            raise UserError(f"{layer.origin}: {key}: {_mismatch(value, expected)}") from None
        _set_writable(tree)
    return tree


def _set_writable(node: Any) -> None:
    """Clear the read-only flag that OmegaConf sets on every node of a frozen dataclass."""
    if isinstance(node, DictConfig | ListConfig):
        OmegaConf.set_readonly(node, False)
        for child in node.values() if isinstance(node, DictConfig) else node:
            _set_writable(child)


def _check_no_interpolation(layer: Layer) -> None:
    for key, value in flatten(layer.values).items():
        if isinstance(value, str) and "${" in value:
            raise UserError(f"{layer.origin}: {key}: '${{' is not allowed: values are taken as they are written")


def _mismatch(value: Any, expected: Any) -> str:
    """Say in words that a value does not have the expected type."""
    kind = typing.get_origin(expected) or expected
    if kind is typing.Literal:
        allowed = [str(choice) for choice in typing.get_args(expected)]
        return f"unknown value '{value}'{nearest(str(value), allowed)}"
    shown = "nothing" if value is None else repr(value)
    if dataclasses.is_dataclass(expected):
        return f"{shown} is not a section; its keys: {', '.join(_keys(expected))}"
    return f"{shown} is not {TYPE_WORDS[kind]}"


def _value_at(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values[int(part)] if isinstance(values, list) else values[part]
    return values


def _check_keys(values: Any, expected: Any, prefix: str, origin: str, schema: Any) -> None:
    """Raise UserError for a key that `schema` does not have, with the nearest one, and for a wrong container.

    `expected` is the type at `prefix`. OmegaConf checks the types of scalars.
    """
    if values is None or expected is Any:
        return
    kind = dict if dataclasses.is_dataclass(expected) else typing.get_origin(expected) or expected
    if isinstance(values, dict | list) != (kind in (dict, list)) or (kind in (dict, list) and type(values) is not kind):
        raise UserError(f"{origin}: {prefix}: {_mismatch(values, expected)}")
    for key, value in enumerate(values) if kind is list else values.items() if kind is dict else ():
        path = f"{prefix}.{key}" if prefix else str(key)
        if kind is dict and not isinstance(key, str):
            raise UserError(f"{origin}: {prefix}: key {key!r} is not text")
        if path in RENAMED_KEYS and schema is Config:
            raise UserError(f"{origin}: '{path}' is now called {RENAMED_KEYS[path]}")
        if dataclasses.is_dataclass(expected):
            if key not in _keys(expected):
                raise UserError(f"{origin}: unknown key '{path}'{_nearest_key(path, schema)}")
            _check_keys(value, field_type(expected, [key]), path, origin, schema)
        else:
            _check_keys(value, typing.get_args(expected)[-1], path, origin, schema)


def _keys(schema: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(schema) if "omegaconf_ignore" not in field.metadata]


def _nearest_key(path: str, schema: Any) -> str:
    """Name the nearest valid dotted key: by the full path, else by its last part."""
    valid = list(_all_keys(schema, ""))
    close = difflib.get_close_matches(path, valid, n=1, cutoff=0.7)
    last = {key.rsplit(".", 1)[-1]: key for key in valid}
    close = close or [last[name] for name in difflib.get_close_matches(path.rsplit(".", 1)[-1], list(last), n=1)]
    return f"; nearest: {close[0]}" if close else f"; allowed: {', '.join(_keys(schema))}"


def _all_keys(schema: Any, prefix: str) -> Iterator[str]:
    for key in _keys(schema):
        path = f"{prefix}.{key}" if prefix else key
        yield path
        inner = field_type(schema, [key])
        if dataclasses.is_dataclass(inner):
            yield from _all_keys(inner, path)
