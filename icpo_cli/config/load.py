"""Merging of layers to one typed record: schema defaults, the method's preset, files left to right, then key=value."""

import contextlib
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
from omegaconf import BooleanNode, FloatNode, IntegerNode, OmegaConf, StringNode
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

SCALARS: dict[Any, Any] = {int: IntegerNode, float: FloatNode, bool: BooleanNode, str: StringNode}
"""OmegaConf's conversions, such as of the text 1e-6 to a number."""

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
        _check_no_interpolation(layer)
        values = deep_merge(values, _converted(layer.values, schema, "", layer.origin, schema))
    return typing.cast(T, _record(values, schema))


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
    if _is_section(expected):
        return f"{shown} is not a section; its keys: {', '.join(_hints(expected))}"
    return f"{shown} is not {TYPE_WORDS[kind]}"


def _converted(value: Any, hint: Any, path: str, origin: str, schema: Any) -> Any:
    """The value of the key at `path` as its type, `hint`. Raises UserError for an unknown key and a wrong type."""
    hint, optional = _unwrapped(hint)
    if hint is Any or (value is None and optional):
        return value
    kind = dict if _is_section(hint) else typing.get_origin(hint) or hint
    if kind is dict and isinstance(value, dict):
        return {key: _converted_item(key, each, hint, path, origin, schema) for key, each in value.items()}
    if kind is list and isinstance(value, list):
        [inner] = typing.get_args(hint)
        return [_converted(each, inner, f"{path}.{index}", origin, schema) for index, each in enumerate(value)]
    if kind is typing.Literal and value in typing.get_args(hint):
        return value
    if kind in SCALARS and value is not None and not isinstance(value, dict | list):
        with contextlib.suppress(OmegaConfBaseException):
            return SCALARS[kind]().validate_and_convert(value)
    raise UserError(f"{origin}: {path}: {_mismatch(value, hint)}")


def _converted_item(key: Any, value: Any, section: Any, prefix: str, origin: str, schema: Any) -> Any:
    """One key's value in a section: a dataclass, or a dict of any keys."""
    if not isinstance(key, str):
        raise UserError(f"{origin}: {prefix}: key {key!r} is not text")
    path = f"{prefix}.{key}" if prefix else key
    if path in RENAMED_KEYS and schema is Config:
        raise UserError(f"{origin}: '{path}' is now called {RENAMED_KEYS[path]}")
    if not _is_section(section):
        return _converted(value, typing.get_args(section)[-1], path, origin, schema)
    if key not in _hints(section):
        raise UserError(f"{origin}: unknown key '{path}'{_nearest_key(path, schema)}")
    return _converted(value, _hints(section)[key], path, origin, schema)


def _record(value: Any, hint: Any) -> Any:
    """Converted values as the dataclasses of their types; keys that are not given have their defaults."""
    hint, _ = _unwrapped(hint)
    if isinstance(value, list):
        return [_record(each, *typing.get_args(hint)) for each in value]
    if value is None or not _is_section(hint):
        return value
    return hint(**{key: _record(each, _hints(hint)[key]) for key, each in value.items()})


def _is_section(hint: Any) -> bool:
    return dataclasses.is_dataclass(hint)


def _unwrapped(hint: Any) -> tuple[Any, bool]:
    """The type without None, and whether None is allowed."""
    if typing.get_origin(hint) not in (types.UnionType, typing.Union):  # typing.Union if it contains a Literal
        return hint, False
    return next(choice for choice in typing.get_args(hint) if choice is not type(None)), True


@cache
def _hints(schema: Any) -> dict[str, Any]:
    """{key: type} of a dataclass; a field with the metadata `no_key` is none."""
    hints = typing.get_type_hints(schema)
    return {each.name: hints[each.name] for each in dataclasses.fields(schema) if "no_key" not in each.metadata}


def _nearest_key(path: str, schema: Any) -> str:
    """Name the nearest valid dotted key: by the full path, else by its last part."""
    valid = list(_all_keys(schema, ""))
    close = difflib.get_close_matches(path, valid, n=1, cutoff=0.7)
    last = {key.rsplit(".", 1)[-1]: key for key in valid}
    close = close or [last[name] for name in difflib.get_close_matches(path.rsplit(".", 1)[-1], list(last), n=1)]
    return f"; nearest: {close[0]}" if close else f"; allowed: {', '.join(_hints(schema))}"


def _all_keys(schema: Any, prefix: str) -> Iterator[str]:
    for key, hint in _hints(schema).items():
        path = f"{prefix}.{key}" if prefix else key
        yield path
        inner, _ = _unwrapped(hint)
        if _is_section(inner):
            yield from _all_keys(inner, path)
