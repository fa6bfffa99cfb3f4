"""The model file: one zip of ``manifest.json`` and ``posterior.nc``, written atomically.

The file holds draws, the segment rule and the record of the fit; it holds no pickle and no customer
data. ``read`` accepts a file only if it is byte for byte what this module would write for the same
content: any flipped bit changes the zip's structure, the manifest's checksum or the hash of the
draws. The hashes are checked before HDF5 parses a byte. A hash detects damage but not malice, so
links to other files and arrays declared larger than the file are refused next. Last, a few stored
predictions are computed again and compared.
"""

import hashlib
import io
import json
import os
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
import xarray as xr
from h5netcdf.core import NOT_A_VARIABLE

from bayes_clv.data.targets import Kind, refusal, replacing
from bayes_clv.errors import ArtifactError, InputError, shown
from bayes_clv.models import bgnbd, gammagamma
from bayes_clv.models.bgnbd import Dropout
from bayes_clv.posterior import draws
from bayes_clv.posterior.diagnostics import Diagnostics
from bayes_clv.posterior.draws import PARAMETERS, SPEND_PARAMETERS, Floats
from bayes_clv.posterior.fit_record import FitRecord
from bayes_clv.segments.rules import (
    SegmentRule,
    rule_from_dict,
    rule_to_dict,
    with_population,
)

FORMAT = "bayes_clv posterior"
SCHEMA = 3  # schema 1 had no model of spend, schema 2 no soft segments and no reactivation
_MANIFEST, _DRAWS = "manifest.json", "posterior.nc"
_MAX_MANIFEST = 1 << 20
_MAX_DRAWS = 1 << 30
_PROBES = ((0.0, 0.0, 100.0), (1.0, 30.0, 100.0), (30.0, 100.0, 215.0))  # frequency, recency, T
_SPEND_PROBES = ((0.0, 0.0), (1.0, 1.0), (30.0, 2.0))  # frequency, mean spend / SpendRecord.unit
_MIXED = "*"  # of the stored predictions that mix all segments
_TAILS = (0.05, 0.95)
_UNPRINTABLE = re.compile("[\ud800-\udfff]")  # no text: bytes of a file's name that are not UTF-8
_RELATIVE_TOLERANCE = 1e-9  # other library versions may round differently


def _begins_as_a_model(file: BinaryIO) -> bool:
    """Whether a zip begins with our manifest; a file that was cut short is still a model file."""
    head = file.read(200)
    name = _MANIFEST.encode()
    return head.startswith(b"PK\x03\x04") and name in head and FORMAT.encode() in head


MODEL = Kind("a model file", _begins_as_a_model)


@dataclass(frozen=True)
class Stored:
    """Content of a model file; see :class:`bayes_clv.posterior.posterior.Posterior`."""

    tree: xr.DataTree
    rule: SegmentRule
    dropout: Dropout
    record: FitRecord
    diagnostics: Diagnostics
    version: str


def write(
    path: str | os.PathLike[str],
    tree: xr.DataTree,
    rule: SegmentRule,
    dropout: Dropout,
    record: FitRecord,
    diagnostics: Diagnostics,
    *,
    force: bool = False,
) -> str:
    """Write a model file; it replaces an existing one only once it was read back from the disk.

    A folder that does not exist is made. An existing file that is not empty and is no model file is
    replaced only with ``force``.

    Returns
    -------
    str
        The version of the file, as `read` gives it.

    Raises
    ------
    ArtifactError
        If the draws are not valid parameters or too many, the file may not be replaced, the folder
        cannot be written or the disk is full; the previous file is then unchanged.
    """
    _check_parameters(tree, rule, record)
    content = bytes(tree.to_netcdf(engine="h5netcdf"))
    manifest = {
        "format": FORMAT,
        "schema": SCHEMA,
        "members": {_DRAWS: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}},
        "dropout": dropout.value,
        "rule": rule_to_dict(rule),
        "record": record.to_dict(),
        "diagnostics": diagnostics.to_dict(),
        "predictions": _predictions(tree, rule, dropout, record),
    }
    text = _UNPRINTABLE.sub(
        lambda found: json.dumps(shown(found[0]))[1:-1],
        json.dumps(manifest, indent=1, ensure_ascii=False),
    )
    _check_size(len(text.encode()), len(content))
    return _replace(path, _zip(text.encode(), content), force=force)


def read(path: str | os.PathLike[str]) -> Stored:
    """Read a model file and check it as described in the module's docstring.

    Raises
    ------
    ArtifactError
        If the file is refused; the message is one line that gives the reason.
    """
    path = Path(path)
    try:
        return _parsed(_read(path))
    except ArtifactError as error:
        raise ArtifactError(f"{shown(path)} is refused: {error}") from None
    except Exception as error:  # a damaged or hostile file can make a parser raise anything
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ArtifactError(
            f"{shown(path)} is refused: its content cannot be read ({reason})"
        ) from error


def _parsed(content: bytes) -> Stored:
    manifest_text, netcdf = _unzip(content)
    manifest = json.loads(manifest_text)
    _check_manifest(manifest)
    digest = hashlib.sha256(netcdf).hexdigest()
    if digest != manifest["members"][_DRAWS]["sha256"]:
        raise ArtifactError(f"{_DRAWS} does not match its hash: it was altered or damaged")
    stored = Stored(
        tree=_from_netcdf(netcdf),
        rule=rule_from_dict(manifest["rule"]),
        dropout=Dropout(manifest["dropout"]),
        record=FitRecord.from_dict(manifest["record"]),
        diagnostics=Diagnostics.from_dict(manifest["diagnostics"]),
        version=digest[:12],
    )
    _check_parameters(stored.tree, stored.rule, stored.record)
    computed = _predictions(stored.tree, stored.rule, stored.dropout, stored.record)
    _check_predictions(computed, manifest["predictions"])
    return stored


def _check_size(manifest: int, netcdf: int) -> None:
    """Refuse to write what `read` would refuse to read."""
    for name, size, most in ((_MANIFEST, manifest, _MAX_MANIFEST), (_DRAWS, netcdf, _MAX_DRAWS)):
        if size > most:
            raise ArtifactError(
                f"{name} would have {size:,} bytes, more than the {most:,} that a model file may "
                "have; use fewer segments or draws"
            )


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise ArtifactError("there is no such file")
    if path.stat().st_size > _MAX_DRAWS + _MAX_MANIFEST:
        raise ArtifactError(f"it is larger than {_MAX_DRAWS + _MAX_MANIFEST:,} bytes")
    return path.read_bytes()


def _zip(manifest: bytes, netcdf: bytes) -> bytes:
    """Pack the members into a zip; equal members give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in ((_MANIFEST, manifest), (_DRAWS, netcdf)):
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def _unzip(content: bytes) -> tuple[bytes, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {info.filename: info for info in archive.infolist()}
            if set(members) != {_MANIFEST, _DRAWS}:
                raise ArtifactError(f"it must hold {_MANIFEST} and {_DRAWS}, and nothing else")
            if any(info.compress_type != zipfile.ZIP_STORED for info in members.values()):
                raise ArtifactError("its members must be stored, not compressed")
            if members[_MANIFEST].file_size > _MAX_MANIFEST:
                raise ArtifactError(f"{_MANIFEST} is larger than {_MAX_MANIFEST:,} bytes")
            manifest, netcdf = archive.read(_MANIFEST), archive.read(_DRAWS)
    except zipfile.BadZipFile as error:
        raise ArtifactError(f"it is not a whole zip file ({error}); was it cut short?") from None
    if content != _zip(manifest, netcdf):
        raise ArtifactError("the zip's frame was altered or damaged")
    return manifest, netcdf


def _check_manifest(manifest: Any) -> None:
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ArtifactError(f'its manifest does not say "{FORMAT}"')
    if not isinstance(manifest["schema"], int) or manifest["schema"] < 1:
        raise ArtifactError(f"schema {manifest['schema']!r} does not exist")
    if manifest["schema"] > SCHEMA:
        raise ArtifactError(
            f"it has schema {manifest['schema']}, newer than {SCHEMA}, the newest that this "
            "version reads; upgrade bayes_clv"
        )


def _check_parameters(tree: xr.DataTree, rule: SegmentRule, record: FitRecord) -> None:
    expected = len(rule.names) + 1
    parameters = draws.by_code(tree)
    values = {name: getattr(parameters, name) for name in PARAMETERS}
    if draws.has_spend(tree) != (record.spend is not None):
        raise ArtifactError("its draws and its fit record do not agree on whether spend was fitted")
    if draws.has_spend(tree):
        of_spend = draws.spend_by_code(tree)
        spend = {name: getattr(of_spend, name) for name in SPEND_PARAMETERS}
        if spend["p"].shape != values["r"].shape:
            raise ArtifactError("spend and purchases must have the same number of draws")
        if not (spend["q"] > 1).all():
            raise ArtifactError("q has draws that are not above 1: mean spend would be infinite")
        values |= spend
    _check_reactivation(tree, record, values["r"].shape[1:])
    for name, of_name in values.items():
        if len(of_name) != expected or not of_name.size:
            raise ArtifactError(f"{name} does not have draws for {expected - 1} segments")
        if not (np.isfinite(of_name) & (of_name > 0)).all():
            raise ArtifactError(f"{name} has draws that are not finite and positive")


def _check_reactivation(tree: xr.DataTree, record: FitRecord, shape: tuple[int, ...]) -> None:
    found = draws.reactivation_of(tree)
    if (found is not None) != (record.reactivation is not None):
        raise ArtifactError("its draws and its fit record do not agree on reactivation")
    if found is None:
        return
    for name in ("probability", "r", "alpha"):
        values = getattr(found, name)
        if values.shape != shape or not (np.isfinite(values) & (values > 0)).all():
            raise ArtifactError(f"reactivation has no finite and positive draws of its {name}")
    if not (found.probability < 1).all():
        raise ArtifactError("reactivation has draws of a probability that are not below 1")


def _predictions(
    tree: xr.DataTree, rule: SegmentRule, dropout: Dropout, record: FitRecord
) -> list[dict[str, Any]]:
    """Expected spend and P(alive) for the probe states, by the NumPy formulas.

    Compiled code is not used, so that a file can be read without loading it.
    """
    rows = []
    names = tuple(enumerate(with_population(rule.names)))
    if record.spend:
        of_spend, unit = draws.spend_by_code(tree), record.spend.unit
        for code, segment in names:
            for frequency, mean in _SPEND_PROBES:
                spend = gammagamma.expected_spend(of_spend[code], frequency, mean * unit)
                rows.append(_prediction(segment, (frequency, mean * unit), spend))
    parameters, afresh = draws.by_code(tree), draws.reactivation_of(tree)
    alive = {}
    for code, segment in names:
        for probe in _PROBES:
            of_probe = bgnbd.probability_alive(parameters[code], *probe, dropout)
            if afresh is not None:
                of_probe = afresh.probability + (1 - afresh.probability) * of_probe
            alive[code, probe] = of_probe
            rows.append(_prediction(segment, probe, of_probe))
    for probe in _PROBES if rule.soft else ():
        weights = enumerate(rule.weights_one(*probe))
        mixed = sum((weight * alive[code, probe] for code, weight in weights), np.zeros(()))
        rows.append(_prediction(_MIXED, probe, mixed))
    return rows


def _prediction(segment: str, state: tuple[float, ...], values: Floats) -> dict[str, Any]:
    lower, upper = np.quantile(values, _TAILS).tolist()
    of = {"segment": segment, "state": list(state), "mean": float(values.mean())}
    return of | {"lower": lower, "upper": upper}


def _check_predictions(computed: list[dict[str, Any]], stored: Any) -> None:
    same = len(stored) == len(computed) and all(
        old["segment"] == new["segment"]
        and np.allclose(
            [old[key] for key in ("mean", "lower", "upper")],
            [new[key] for key in ("mean", "lower", "upper")],
            rtol=_RELATIVE_TOLERANCE,
            atol=0,
        )
        for old, new in zip(stored, computed, strict=False)
    )
    if not same:
        raise ArtifactError("its stored predictions cannot be reproduced from its draws")


def _from_netcdf(content: bytes) -> xr.DataTree:
    with h5py.File(io.BytesIO(content), "r") as file:
        _check_declarations(file, len(content))
    with xr.open_datatree(io.BytesIO(content), engine="h5netcdf") as tree:
        return tree.load()


def _check_declarations(file: h5py.File, size: int) -> None:
    """Refuse links to other files, and arrays declared larger than the file."""
    budget, seen, groups = size, set(), [file["/"]]
    while groups:
        group = groups.pop()
        for name in group:
            shown = repr(name[:50])
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ArtifactError(f"{_DRAWS} holds a soft or external link: {shown}")
            member = group[name]
            address = h5py.h5o.get_info(member.id).addr
            if address in seen:
                raise ArtifactError(f"{_DRAWS} holds one object under two names: {shown}")
            seen.add(address)
            if isinstance(member, h5py.Group):
                groups.append(member)
                continue
            if not isinstance(member, h5py.Dataset):
                raise ArtifactError(f"{_DRAWS} holds an object that is not an array: {shown}")
            if member.external or member.is_virtual:
                raise ArtifactError(f"{_DRAWS} reads an array from another file: {shown}")
            if _is_only_a_length(member):
                continue
            declared = member.size * member.dtype.itemsize
            budget -= declared
            if budget >= 0 and h5py.check_string_dtype(member.dtype) is not None:
                budget -= _text_bytes(member, budget)
            if budget < 0:
                raise ArtifactError(
                    f"{_DRAWS} declares {declared:,} bytes for {shown}, more than are left of "
                    f"its {size:,} bytes"
                )


def _is_only_a_length(member: h5py.Dataset) -> bool:
    """Whether this netCDF data set only stores a dimension's length.

    It takes no space in the file and is not read. The test is the one that h5netcdf uses.
    """
    return h5py.h5ds.is_scale(member.id) and NOT_A_VARIABLE in h5py.h5ds.get_scale_name(member.id)


def _text_bytes(texts: h5py.Dataset, budget: int) -> int:
    """Total bytes of the texts, read one by one: shared texts then cannot fill the memory."""
    total = 0
    for index in np.ndindex(texts.shape):
        total += len(texts[index])
        if total > budget:
            break
    return total


def _replace(path: str | os.PathLike[str], content: bytes, *, force: bool) -> str:
    """Write the file, read it back from the disk, then put it in its place; return its version."""
    try:
        with replacing(path, MODEL, force=force, make_folder=True) as temporary:
            with temporary.open("wb") as file:
                file.write(content)
            try:
                return read(temporary).version
            except ArtifactError as error:
                reason = f"what was read back from the disk is wrong: {error}"
                raise refusal(path, reason) from error
    except InputError as error:
        raise ArtifactError(str(error)) from error
