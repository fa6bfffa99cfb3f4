"""The model file: what is written is read back, and anything else is refused in one line."""

import hashlib
import json
import os
import pickle
import signal
import stat
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import fields, replace
from errno import EIO, ENOSPC
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayes_clv.errors import ArtifactError
from bayes_clv.models.bgnbd import Dropout
from bayes_clv.posterior import artifact
from bayes_clv.posterior.artifact import SCHEMA
from bayes_clv.posterior.posterior import Posterior, load_posterior
from bayes_clv.segments.rules import ColumnRule, PooledRule, RFMRule, SegmentRule

MANIFEST, DRAWS = "manifest.json", "posterior.nc"
REPOSITORY = Path(__file__).parents[2]

type Make = Callable[..., Posterior]
type MakeCustomers = Callable[..., pd.DataFrame]


@pytest.fixture(scope="module")
def posterior(posterior_by_hand: Make, make_customers: MakeCustomers) -> Posterior:
    return posterior_by_hand(fitted_to=make_customers(300), spend=True)


@pytest.fixture(scope="module")
def good(posterior: Posterior, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a saved model."""
    path = tmp_path_factory.mktemp("good") / "model.clv"
    posterior.save(path)
    return path.read_bytes()


def members(content: bytes) -> tuple[dict[str, Any], bytes]:
    with zipfile.ZipFile(BytesIO(content)) as archive:
        return json.loads(archive.read(MANIFEST)), archive.read(DRAWS)


def framed(manifest: dict[str, Any], draws: bytes) -> bytes:
    """A file that is consistent to its last byte, whatever its content: frame, sums and hashes."""
    digest = hashlib.sha256(draws).hexdigest()
    manifest = manifest | {"members": {DRAWS: {"sha256": digest, "bytes": len(draws)}}}
    return artifact._zip(json.dumps(manifest, indent=1, ensure_ascii=False).encode(), draws)


def with_draws_changed(
    content: bytes, tmp_path: Path, change: Callable[[h5py.File], object]
) -> bytes:
    manifest, draws = members(content)
    path = tmp_path / "changed.nc"
    path.write_bytes(draws)
    with h5py.File(path, "r+") as file:
        change(file)
    return framed(manifest, path.read_bytes())


def refusal(path: Path) -> str:
    """Load, be refused in one line that names the file, and return the line."""
    with pytest.raises(ArtifactError) as refused:
        load_posterior(path)
    line = str(refused.value)
    assert line.startswith(f"{path} is refused: "), line
    assert "\n" not in line
    assert len(line) < len(str(path)) + 300
    return line


def refusal_of(content: bytes, tmp_path: Path) -> str:
    path = tmp_path / "model.clv"
    path.write_bytes(content)
    return refusal(path)


# Round trip

RULES = (
    PooledRule(),
    ColumnRule(names=("north", 'so"uth\\', "été · 夏")),
    RFMRule((10.0, 20.5, 40.0, 80.0), (1.0, 2.0, 1 / 3), ()),
)


@pytest.mark.parametrize("dropout", Dropout)
@pytest.mark.parametrize("rule", [*RULES, None], ids=lambda rule: rule.kind if rule else "kmeans")
def test_every_field_and_every_prediction_survives_the_round_trip(
    posterior_by_hand: Make,
    make_customers: MakeCustomers,
    tmp_path: Path,
    rule: SegmentRule | None,
    dropout: Dropout,
) -> None:
    customers = make_customers(80)
    rules = () if rule is None else (rule,)
    saved = posterior_by_hand(*rules, dropout=dropout, fitted_to=customers)
    saved.save(tmp_path / "model.clv")
    loaded = load_posterior(tmp_path / "model.clv")
    xr.testing.assert_identical(loaded.tree, saved.tree)
    for name in {field.name for field in fields(Posterior)} - {"tree", "version"}:
        assert getattr(loaded, name) == getattr(saved, name), name
    assert type(loaded.rule) is type(saved.rule)
    assert type(loaded.dropout) is Dropout
    assert loaded.segment_names == saved.segment_names
    for name, ahead in (
        ("probability_alive", ()),
        ("probability_of_purchase", (30,)),
        ("expected_purchases", (30,)),
        ("sample_purchases", (30,)),
    ):
        before, after = (getattr(one, name)(customers, *ahead) for one in (saved, loaded))
        pd.testing.assert_frame_equal(after, before, check_exact=True)
    assert loaded.answer(3, 50, 80) == saved.answer(3, 50, 80)
    stored = loaded.compare_segments()
    pd.testing.assert_frame_equal(stored.table, saved.compare_segments().table, check_exact=True)


def test_a_saved_posterior_may_be_saved_again_unchanged(good: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.clv").write_bytes(good)
    once = load_posterior(tmp_path / "model.clv")
    once.save(tmp_path / "again.clv")
    again = load_posterior(tmp_path / "again.clv")
    xr.testing.assert_identical(again.tree, once.tree)
    assert (again.rule, again.record, again.diagnostics) == (
        once.rule,
        once.record,
        once.diagnostics,
    )


def test_an_unsound_verdict_with_figures_that_are_not_numbers_survives_too(
    posterior: Posterior, tmp_path: Path
) -> None:
    verdict = replace(
        posterior.diagnostics, r_hat=float("nan"), divergences=3, complaints=("R-hat is nan",)
    )
    replace(posterior, diagnostics=verdict).save(tmp_path / "model.clv")
    loaded = load_posterior(tmp_path / "model.clv").diagnostics
    assert np.isnan(loaded.r_hat)
    assert (loaded.divergences, loaded.complaints, loaded.sound) == (3, ("R-hat is nan",), False)


def test_the_version_is_the_first_12_digits_of_the_hash_of_the_draws(
    posterior: Posterior, good: bytes, tmp_path: Path
) -> None:
    (tmp_path / "model.clv").write_bytes(good)
    manifest, draws = members(good)
    digest = hashlib.sha256(draws).hexdigest()
    assert manifest["members"][DRAWS] == {"sha256": digest, "bytes": len(draws)}
    assert load_posterior(tmp_path / "model.clv").version == digest[:12]
    assert posterior.version == "unsaved", "saving does not change what was saved"


def test_the_file_holds_two_plain_members_no_pickle_and_no_customer(
    posterior_by_hand: Make, make_customers: MakeCustomers, tmp_path: Path
) -> None:
    customers = make_customers(300).assign(customer_id=[f"secret-{i:04d}" for i in range(300)])
    sizes = []
    for n in (30, 300):
        posterior_by_hand(fitted_to=customers.head(n)).save(tmp_path / "model.clv")
        content = (tmp_path / "model.clv").read_bytes()
        with zipfile.ZipFile(BytesIO(content)) as archive:
            assert archive.namelist() == [MANIFEST, DRAWS]
            assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        manifest, draws = members(content)
        assert draws.startswith(b"\x89HDF\r\n\x1a\n")
        assert manifest["schema"] == SCHEMA
        for start in (0, content.index(draws)):
            with pytest.raises((pickle.UnpicklingError, EOFError, ValueError, KeyError)):
                pickle.loads(content[start:])
        assert b"secret" not in content
        with xr.open_datatree(BytesIO(draws), engine="h5netcdf") as tree:
            lengths = {
                length for node in tree.subtree for length in node.to_dataset().sizes.values()
            }
        assert n not in lengths, "an array as long as there are customers"
        sizes.append(len(content))
    assert abs(sizes[0] - sizes[1]) < 100, "the file does not grow with customers"


def test_the_file_has_the_permissions_that_the_umask_leaves(
    posterior: Posterior, tmp_path: Path
) -> None:
    previous = os.umask(0o027)
    try:
        posterior.save(tmp_path / "new folder" / "model.clv")
        assert os.umask(0o027) == 0o027, "saving leaves the umask alone"
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "new folder" / "model.clv").stat().st_mode) == 0o640


# Damage


def test_a_file_cut_short_anywhere_is_refused(good: bytes, tmp_path: Path) -> None:
    rng = np.random.default_rng(60)
    for length in [*rng.choice(len(good), size=58, replace=False).tolist(), 1, len(good) - 1]:
        refusal_of(good[:length], tmp_path)


def test_a_single_flipped_bit_anywhere_is_refused(good: bytes, tmp_path: Path) -> None:
    rng = np.random.default_rng(150)
    start_of_draws = good.index(b"\x89HDF")
    directory = good.rindex(b"PK\x01\x02", 0, good.rindex(b"PK\x01\x02"))
    # Most of the bytes are draws; the frame and the manifest get their share as well.
    places = np.concatenate(
        [
            rng.integers(0, start_of_draws, size=50),
            rng.integers(start_of_draws, directory, size=50),
            rng.integers(directory, len(good), size=50),
        ]
    )
    for place in places.tolist():
        damaged = bytearray(good)
        damaged[place] ^= 1 << int(rng.integers(8))
        refusal_of(bytes(damaged), tmp_path)


@pytest.mark.parametrize("extra", [b"\0", b"PK", b"x" * 4096])
def test_bytes_before_or_behind_are_refused(good: bytes, tmp_path: Path, extra: bytes) -> None:
    refusal_of(good + extra, tmp_path)
    refusal_of(extra + good, tmp_path)


def test_what_is_no_model_at_all_is_refused(good: bytes, tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "nowhere.clv")
    refusal(tmp_path)
    refusal_of(b"", tmp_path)
    assert "not a whole zip file" in refusal_of(pickle.dumps({"r": 1}), tmp_path)
    assert "not a whole zip file" in refusal_of(members(good)[1], tmp_path)


def test_a_pickle_is_never_run(good: bytes, tmp_path: Path) -> None:
    ran = tmp_path / "ran"

    class Exploit:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (ran,)

    hostile = pickle.dumps(Exploit())
    manifest, _ = members(good)
    refusal_of(hostile, tmp_path)
    refusal_of(framed(manifest, hostile), tmp_path)
    assert not ran.exists()
    pickle.loads(hostile)
    assert ran.exists(), "the exploit works where it is run"


# Files framed and hashed as they should be, with content that should not be


def test_the_framing_of_these_tests_is_the_modules_own(good: bytes) -> None:
    """Else the tests below would be refused for their frame."""
    assert framed(*members(good)) == good


def test_a_newer_schema_is_refused_as_newer(good: bytes, tmp_path: Path) -> None:
    manifest, draws = members(good)
    line = refusal_of(framed(manifest | {"schema": SCHEMA + 1}, draws), tmp_path)
    assert f"schema {SCHEMA + 1}, newer than {SCHEMA}" in line
    assert "upgrade bayes_clv" in line


@pytest.mark.parametrize("schema", [0, -1, "1", 1.0, None])
def test_a_schema_that_never_was_is_refused(good: bytes, tmp_path: Path, schema: object) -> None:
    manifest, draws = members(good)
    line = refusal_of(framed(manifest | {"schema": schema}, draws), tmp_path)
    assert "does not exist" in line


@pytest.mark.parametrize(
    "manifest",
    [[], None, 3, {}, {"format": "another"}, {"format": artifact.FORMAT}],
    ids=json.dumps,
)
def test_another_manifest_is_refused(good: bytes, tmp_path: Path, manifest: object) -> None:
    text = json.dumps(manifest).encode()
    refusal_of(artifact._zip(text, members(good)[1]), tmp_path)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b"{}" * 3, b" " * (1 << 20) + b"{}"]
)
def test_a_manifest_that_is_no_json_or_too_large_is_refused(
    good: bytes, tmp_path: Path, text: bytes
) -> None:
    refusal_of(artifact._zip(text, members(good)[1]), tmp_path)


def test_a_manifest_without_one_of_its_parts_is_refused(good: bytes, tmp_path: Path) -> None:
    manifest, draws = members(good)
    assert len(manifest) == 8
    for part in manifest.keys() - {"members"}:
        refusal_of(framed({k: v for k, v in manifest.items() if k != part}, draws), tmp_path)
    without_hash = json.dumps(manifest | {"members": {}}).encode()
    refusal_of(artifact._zip(without_hash, draws), tmp_path)


def test_draws_that_do_not_match_their_hash_are_refused_before_they_are_parsed(
    good: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, draws = members(good)
    altered = bytearray(draws)
    altered[len(draws) // 2] ^= 1
    monkeypatch.setattr(artifact.h5py, "File", None)
    content = artifact._zip(json.dumps(manifest, indent=1).encode(), bytes(altered))
    assert "does not match its hash" in refusal_of(content, tmp_path)


@pytest.mark.parametrize(
    "name", [*(f"posterior/{name}" for name in ("r", "alpha", "a", "b")), "spend/posterior/v"]
)
def test_altered_draws_with_a_new_hash_do_not_reproduce_the_predictions(
    good: bytes, tmp_path: Path, name: str
) -> None:
    def change(file: h5py.File) -> None:
        file[name][...] *= 1 + 1e-6

    line = refusal_of(with_draws_changed(good, tmp_path, change), tmp_path)
    assert "predictions cannot be reproduced" in line


def test_altered_predictions_rule_or_dropout_are_refused(good: bytes, tmp_path: Path) -> None:
    manifest, draws = members(good)
    predictions = manifest["predictions"]
    assert len(predictions) == 24
    wrong = [
        predictions[:-1],
        [*predictions, predictions[0]],
        [],
        [predictions[0] | {"upper": predictions[0]["upper"] - 1e-6}, *predictions[1:]],
        [predictions[0] | {"mean": float("nan")}, *predictions[1:]],
        predictions[::-1],
    ]
    for stored in wrong:
        line = refusal_of(framed(manifest | {"predictions": stored}, draws), tmp_path)
        assert "predictions cannot be reproduced" in line
    refusal_of(framed(manifest | {"dropout": "after_any"}, draws), tmp_path)
    refusal_of(framed(manifest | {"dropout": "never"}, draws), tmp_path)
    renamed = manifest["rule"] | {"names": manifest["rule"]["names"][::-1]}
    refusal_of(framed(manifest | {"rule": renamed}, draws), tmp_path)
    refusal_of(framed(manifest | {"rule": {"kind": "os.system"}}, draws), tmp_path)


def test_a_ledger_that_does_not_add_up_is_refused(good: bytes, tmp_path: Path) -> None:
    manifest, draws = members(good)
    manifest["record"]["ledger"]["rows_kept"] += 1
    assert "must add up" in refusal_of(framed(manifest, draws), tmp_path)


@pytest.mark.parametrize("value", [np.nan, -1.0, 0.0, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["r", "b_population"])
def test_draws_that_are_not_finite_and_positive_are_refused(
    good: bytes, tmp_path: Path, name: str, value: float
) -> None:
    def change(file: h5py.File) -> None:
        file[f"posterior/{name}"][(0,) * file[f"posterior/{name}"].ndim] = value

    line = refusal_of(with_draws_changed(good, tmp_path, change), tmp_path)
    assert f"{name[0]} has draws that are not finite and positive" in line


def test_draws_of_another_number_of_segments_are_refused(
    posterior_by_hand: Make, good: bytes, tmp_path: Path
) -> None:
    posterior_by_hand(PooledRule(), spend=True).save(tmp_path / "pooled.clv")
    pooled = members((tmp_path / "pooled.clv").read_bytes())[1]
    line = refusal_of(framed(members(good)[0], pooled), tmp_path)
    assert "r does not have draws for 3 segments" in line


def test_draws_of_spend_without_a_mean_are_refused(good: bytes, tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        file["spend/posterior/q"][0, 0, 0] = 1.0

    line = refusal_of(with_draws_changed(good, tmp_path, change), tmp_path)
    assert "q has draws that are not above 1" in line


def test_draws_and_record_agree_on_whether_spend_was_fitted(good: bytes, tmp_path: Path) -> None:
    manifest, draws = members(good)
    manifest["record"]["spend"] = None
    assert "do not agree on whether spend" in refusal_of(framed(manifest, draws), tmp_path)


def test_a_file_from_before_there_was_spend_is_read(
    posterior_by_hand: Make, tmp_path: Path
) -> None:
    path = tmp_path / "model.clv"
    posterior_by_hand().save(path)
    manifest, draws = members(path.read_bytes())
    del manifest["record"]["spend"]
    path.write_bytes(framed(manifest | {"schema": 1}, draws))
    loaded = load_posterior(path)
    assert not loaded.has_spend
    assert loaded.record.spend is None


@pytest.mark.parametrize("draws", [10, 100, 2000])
def test_a_file_of_any_size_that_was_saved_can_be_loaded(
    posterior_by_hand: Make, make_customers: MakeCustomers, tmp_path: Path, draws: int
) -> None:
    """Dimensions without coordinates are declared with a length, and take no room."""
    saved = posterior_by_hand(draws=draws, fitted_to=make_customers(30))
    saved.save(tmp_path / "model.clv")
    xr.testing.assert_identical(load_posterior(tmp_path / "model.clv").tree, saved.tree)


def test_a_long_dimension_that_holds_nothing_is_not_read(good: bytes, tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        scale = file.create_dataset("posterior/long", (20_000_000_000,), "f8", chunks=(1024,))
        scale.make_scale("This is a netCDF dimension but not a netCDF variable. 20000000000")

    path = tmp_path / "model.clv"
    path.write_bytes(with_draws_changed(good, tmp_path, change))
    assert "long" not in load_posterior(path).tree["posterior"].variables


# Links and declarations that lead out of the file


def external_link(file: h5py.File, elsewhere: Path) -> None:
    file["posterior/extra"] = h5py.ExternalLink(str(elsewhere), "secret")


def external_link_of_a_group(file: h5py.File, elsewhere: Path) -> None:
    file["extra"] = h5py.ExternalLink(str(elsewhere), "/")


def soft_link(file: h5py.File, elsewhere: Path) -> None:
    file["posterior/extra"] = h5py.SoftLink("/posterior/r")


def external_storage(file: h5py.File, elsewhere: Path) -> None:
    file.create_dataset("posterior/extra", (4,), "f8", external=[(str(elsewhere), 0, 32)])


def virtual_dataset(file: h5py.File, elsewhere: Path) -> None:
    layout = h5py.VirtualLayout((4,), "f8")
    layout[:] = h5py.VirtualSource(str(elsewhere), "secret", (4,))
    file.create_virtual_dataset("posterior/extra", layout)


def oversized(file: h5py.File, elsewhere: Path) -> None:
    file.create_dataset("posterior/extra", (20_000_000_000,), "f8", chunks=(1024,))


def many_that_are_oversized_together(file: h5py.File, elsewhere: Path) -> None:
    for i in range(50):
        file.create_dataset(f"sample_stats/extra{i}", (1000,), "f8", chunks=(10,))


def committed_type(file: h5py.File, elsewhere: Path) -> None:
    file["posterior/extra"] = np.dtype("f8")


OUT_OF_THE_FILE = {
    external_link: "a soft or external link: 'extra'",
    external_link_of_a_group: "a soft or external link: 'extra'",
    soft_link: "a soft or external link: 'extra'",
    external_storage: "reads an array from another file: 'extra'",
    virtual_dataset: "reads an array from another file: 'extra'",
    oversized: "declares 160,000,0",
    many_that_are_oversized_together: "declares ",
    committed_type: "an object that is not an array: 'extra'",
}


@pytest.mark.parametrize(
    ("plant", "words"), OUT_OF_THE_FILE.items(), ids=lambda item: getattr(item, "__name__", "")
)
def test_hostile_content_is_refused_before_any_array_is_read(
    good: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    plant: Callable[[h5py.File, Path], None],
    words: str,
) -> None:
    elsewhere = tmp_path / "elsewhere.h5"
    with h5py.File(elsewhere, "w") as file:
        file["secret"] = np.arange(4.0)
    content = with_draws_changed(good, tmp_path, lambda file: plant(file, elsewhere))
    assert len(content) < len(good) + 200_000

    def read(*args: object, **kwargs: object) -> None:
        raise AssertionError("arrays are read")

    monkeypatch.setattr(artifact.xr, "open_datatree", read)
    assert words in refusal_of(content, tmp_path)


def test_a_group_that_holds_itself_is_refused(good: bytes, tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        file["posterior/again"] = file["posterior"]

    refusal_of(with_draws_changed(good, tmp_path, change), tmp_path)


# The zip


def zipped(parts: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return buffer.getvalue()


def test_another_set_of_members_is_refused(good: bytes, tmp_path: Path) -> None:
    with zipfile.ZipFile(BytesIO(good)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert zipped(parts) == good
    for other in (
        parts | {"extra.txt": b"hello"},
        parts | {"../evil": b""},
        {MANIFEST: parts[MANIFEST]},
        {DRAWS: parts[DRAWS]},
        {},
    ):
        assert "and nothing else" in refusal_of(zipped(other), tmp_path)
    assert "frame was altered" in refusal_of(zipped(dict(reversed(parts.items()))), tmp_path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_given_twice_is_refused(good: bytes, tmp_path: Path) -> None:
    path = tmp_path / "twice.clv"
    path.write_bytes(good)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(MANIFEST), b"{}")
    refusal(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_members_are_refused_unread(good: bytes, tmp_path: Path, method: int) -> None:
    bomb = zipped({MANIFEST: b"{}", DRAWS: bytes(1 << 24)}, method)
    assert len(bomb) < 1 << 16
    assert "stored, not compressed" in refusal_of(bomb, tmp_path)


# Saving that fails


def leftovers(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.parent.iterdir() if entry != path)


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.open", "pathlib.Path.replace"])
@pytest.mark.parametrize("error", [ENOSPC, EIO])
def test_a_full_or_failing_disk_leaves_the_old_file_and_nothing_else(
    posterior_by_hand: Make,
    good: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    error: int,
) -> None:
    path = tmp_path / "model.clv"
    path.write_bytes(good)
    failures = []

    def fail(*args: object) -> None:
        failures.append(args)
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(call, fail)
    with pytest.raises(ArtifactError) as refused:
        posterior_by_hand(seed=2).save(path)
    monkeypatch.undo()
    assert failures
    assert str(refused.value) == f"{path} cannot be written: {os.strerror(error)}"
    assert path.read_bytes() == good
    assert leftovers(path) == []


def test_a_disk_that_fills_up_while_the_file_is_written_leaves_the_old_one(
    posterior_by_hand: Make, good: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.clv"
    path.write_bytes(good)

    class FullDisk:
        """A file whose disk has room for 1,000 bytes."""

        def __init__(self, path: Path, mode: str) -> None:
            self.file = open(path, mode, buffering=0)  # noqa: SIM115

        def __enter__(self) -> "FullDisk":
            return self

        def __exit__(self, *error: object) -> None:
            self.file.close()

        def write(self, content: bytes) -> None:
            assert self.file.write(content[:1000]) == 1000
            raise OSError(ENOSPC, os.strerror(ENOSPC))

    monkeypatch.setattr(Path, "open", lambda path, mode: FullDisk(path, mode))
    with pytest.raises(ArtifactError, match="cannot be written: No space left on device"):
        posterior_by_hand(seed=2).save(path)
    monkeypatch.undo()
    assert path.read_bytes() == good
    assert leftovers(path) == []


def test_a_folder_that_may_not_be_written_is_refused_and_unchanged(
    posterior_by_hand: Make, good: bytes
) -> None:
    posterior = posterior_by_hand(seed=2)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "model.clv"
        path.write_bytes(good)
        path.parent.chmod(0o555)
        superuser = os.geteuid() == 0  # whom permissions do not stop
        if superuser:
            os.seteuid(65534)
        try:
            with pytest.raises(ArtifactError) as refused:
                posterior.save(path)
        finally:
            if superuser:
                os.seteuid(0)
            path.parent.chmod(0o755)
        assert str(refused.value) == f"{path} cannot be written: Permission denied"
        assert path.read_bytes() == good
        assert leftovers(path) == []


def test_a_path_that_no_file_can_have_is_refused(posterior: Posterior, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for path in (tmp_path / "file" / "model.clv", tmp_path, tmp_path / ("x" * 300)):
        with pytest.raises(ArtifactError) as refused:
            posterior.save(path)
        assert str(refused.value).startswith(f"{path} cannot be written: ")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


# A process killed while it saves

SAVE_AND_STOP = """
import os, pathlib, sys, time
from bayes_clv.posterior import artifact
from bayes_clv.posterior.posterior import load_posterior

model, path, stage = sys.argv[1:]
posterior = load_posterior(model)

def stop(*args, **kwargs):
    print("now", flush=True)
    time.sleep(60)

class Half:
    def __init__(self, path, mode):
        self.file = open(path, mode, buffering=0)
    def __enter__(self):
        return self
    def __exit__(self, *error):
        pass
    def write(self, content):
        self.file.write(content[: len(content) // 2])
        stop()

if stage == "draws serialised":
    artifact._replace = stop
elif stage == "half written":
    pathlib.Path.open = lambda path, mode: Half(path, mode)
elif stage == "written, not synced":
    os.fsync = stop
elif stage == "synced, not renamed":
    pathlib.Path.replace = stop
elif stage == "again and again":
    print("now", flush=True)
    while True:
        posterior.save(path)
posterior.save(path)
"""


def kill_while_saving(model: Path, path: Path, stage: str, after: float = 0.0) -> None:
    command = [sys.executable, "-c", SAVE_AND_STOP, str(model), str(path), stage]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"now\n"
            time.sleep(after)
        finally:
            process.kill()
        assert process.wait() == -signal.SIGKILL


@pytest.fixture(scope="module")
def another_model(posterior_by_hand: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("another") / "another.clv"
    posterior_by_hand(seed=3).save(path)
    return path


@pytest.mark.parametrize(
    "stage",
    ["draws serialised", "half written", "written, not synced", "synced, not renamed"],
)
def test_a_process_killed_before_the_rename_leaves_the_old_file(
    good: bytes, another_model: Path, tmp_path: Path, stage: str
) -> None:
    path = tmp_path / "model.clv"
    path.write_bytes(good)
    kill_while_saving(another_model, path, stage)
    assert path.read_bytes() == good
    load_posterior(path)
    assert len(leftovers(path)) == (0 if stage == "draws serialised" else 1), "killed at its work"


@pytest.mark.long
def test_a_process_killed_at_any_moment_leaves_a_whole_file(
    good: bytes, another_model: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(9)
    new = load_posterior(another_model).tree
    path = tmp_path / "model.clv"
    written = 0
    for _ in range(3):
        path.write_bytes(good)
        kill_while_saving(another_model, path, "again and again", after=rng.uniform(0.1, 0.4))
        if path.read_bytes() != good:
            xr.testing.assert_identical(load_posterior(path).tree, new)
            written += 1
    assert written, "no process was killed after its first save"


def test_altered_draws_of_the_population_do_not_reproduce_the_predictions(
    good: bytes, tmp_path: Path
) -> None:
    def change(file: h5py.File) -> None:
        file["posterior/r_population"][...] *= 3

    assert "predictions" in refusal_of(with_draws_changed(good, tmp_path, change), tmp_path)


def test_one_group_under_two_names_is_refused(good: bytes, tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        file["once"] = file.create_group("twice")

    refusal_of(with_draws_changed(good, tmp_path, change), tmp_path)


@pytest.mark.filterwarnings("ignore:.*phony_dims")
def test_strings_that_share_one_long_text_are_refused(good: bytes, tmp_path: Path) -> None:
    n, text = 10, "x" * 60_000
    offset = 0

    def change(file: h5py.File) -> None:
        nonlocal offset
        values = np.array([text] + ["y"] * (n - 1), dtype=object)
        dataset = file.create_dataset("posterior/extra", data=values, dtype=h5py.string_dtype())
        file.flush()
        offset = dataset.id.get_offset()

    manifest, draws = members(with_draws_changed(good, tmp_path, change))
    expanding = bytearray(draws)
    expanding[offset : offset + 16 * n] = expanding[offset : offset + 16] * n
    assert len(expanding) < n * len(text) / 3
    refusal_of(framed(manifest, bytes(expanding)), tmp_path)


def test_a_line_break_in_the_path_does_not_break_the_message(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError) as refused:
        load_posterior(tmp_path / "two\nlines.clv")
    assert "\n" not in str(refused.value)


def test_saving_needs_no_scratch_folder(
    posterior: Posterior, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    posterior.save(tmp_path / "model.clv")
    assert load_posterior(tmp_path / "model.clv").record == posterior.record


def test_a_folder_that_cannot_be_synced_is_told_in_one_line(
    posterior: Posterior, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def fail_for_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(EIO, os.strerror(EIO))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fail_for_folders)
    with pytest.raises(ArtifactError, match="Input/output error"):
        posterior.save(tmp_path / "model.clv")


def test_draws_that_could_not_be_loaded_are_not_saved(
    posterior_by_hand: Make, good: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "model.clv"
    path.write_bytes(good)
    broken = posterior_by_hand()
    broken.tree["posterior"]["r"].values[0, 0, 0] = np.inf
    with pytest.raises(ArtifactError, match="not finite and positive"):
        broken.save(path)
    assert path.read_bytes() == good
