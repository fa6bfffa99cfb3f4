"""The project's own files agree with one another."""

import ast
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import grimp
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = ("bayes_clv", "api")
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 400, 60
MOST_PAIRS = 45  # of packages, of which one imports the other
TASKS = {
    "help",
    "serve",
    "test",
    "test-all",
    "soak",
    "fit",
    "lint",
    "bench",
    "sbc",
    "notebooks",
    "lock",
    "clean",
}

# What conda-forge calls a package, where it is not the name that pip knows.
CONDA_NAMES = {
    "duckdb": "python-duckdb",
    "graphviz": "python-graphviz",
    "ibis-framework": "ibis-duckdb",
    "matplotlib": "matplotlib-base",
    "prometheus-client": "prometheus_client",
}

PIN = re.compile(r"[A-Za-z0-9._-]+==[0-9][0-9a-z.]*")
REGISTRY = re.compile(
    rb"\b(?:pypi|pythonhosted|anaconda|npmjs|crates)\.(?:org|com|io)\b"
    rb"|--(?:extra-)?index-url|--find-link[s]"
)


def requirements() -> list[Requirement]:
    """Everything that pyproject.toml asks for: the runtime and every extra."""
    groups = [PROJECT["project"]["dependencies"]]
    groups += PROJECT["project"]["optional-dependencies"].values()
    return [Requirement(line) for group in groups for line in group]


def pins() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def packages() -> list[Path]:
    """The folders of all packages."""
    return [path.parent for package in PACKAGES for path in (ROOT / package).rglob("__init__.py")]


def inside(package: Path) -> set[str]:
    """The modules and packages in a package."""
    modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
    return modules | {path.parent.name for path in package.glob("*/__init__.py")}


def lines_of_code(function: ast.FunctionDef) -> int:
    """Without the docstring."""
    docstring = function.body[0] if ast.get_docstring(function) else None
    words = (docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0
    return (function.end_lineno or 0) - function.lineno + 1 - words


def functions(path: Path) -> list[ast.FunctionDef]:
    return [it for it in ast.walk(ast.parse(path.read_text())) if isinstance(it, ast.FunctionDef)]


def files_of_the_project() -> list[Path]:
    """What git tracks, or would after `git add`."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        answer = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this folder is no git repository")
    paths = (ROOT / name for name in answer.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def test_the_conda_environment_asks_for_the_same_packages_and_versions_as_pyproject():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *packages, pip = environment["dependencies"]
    python = (ROOT / ".python-version").read_text().strip()
    assert packages[:2] == [f"python={python}", "pip"]
    editable, *others = pip["pip"]
    assert editable == "-e ."

    asked = [Requirement(line) for line in [*packages[2:], *others]]
    found = {package.name: package.specifier for package in asked}
    assert len(found) == len(asked)
    assert found == {CONDA_NAMES.get(r.name, r.name): r.specifier for r in requirements()}


def test_the_python_that_is_named_is_one_that_the_project_accepts():
    python = (ROOT / ".python-version").read_text().strip()
    assert python in SpecifierSet(PROJECT["project"]["requires-python"])


def test_every_pin_is_a_name_and_an_exact_version_without_an_address():
    assert len(pins()) > len(requirements())
    assert [pin for pin in pins() if not PIN.fullmatch(pin)] == []


@pytest.mark.parametrize("requirement", requirements(), ids=lambda r: r.name)
def test_what_pyproject_asks_for_is_pinned_within_its_range(requirement):
    pinned = {canonicalize_name(name): version for name, version in (p.split("==") for p in pins())}
    assert pinned[canonicalize_name(requirement.name)] in requirement.specifier


def test_the_map_of_the_house_names_every_package_and_no_other():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = set(re.findall(r"^\| `((?:bayes_clv|api)[\w.]*)`", text, flags=re.MULTILINE))
    assert named == {"api"} | {f"bayes_clv.{name}" for name in inside(ROOT / "bayes_clv")}


def test_the_page_on_architecture_names_modules_that_exist():
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"`((?:bayes_clv|api)/[\w/.]+)`", text))
    assert len(named) > 10
    assert {name for name in named if not (ROOT / name).exists()} == set()
    (diagram,) = re.findall(r"```mermaid\n(.*?)```", text, flags=re.DOTALL)
    drawn = set(re.findall(r"\w+/\w+", diagram.replace("<br/>", " ")))
    homes = {name: ROOT if name.startswith("api/") else ROOT / "bayes_clv" for name in drawn}
    assert len(drawn) > 5
    assert {name for name, home in homes.items() if not (home / f"{name}.py").exists()} == set()


@pytest.mark.parametrize("package", packages(), ids=lambda it: str(it.relative_to(ROOT)))
def test_the_table_of_a_package_names_what_is_in_it_and_nothing_else(package):
    if package == ROOT / "bayes_clv":
        return  # that table is the map of the house
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    assert set(re.findall(r"^\| `(\w+)`", docstring, flags=re.MULTILINE)) == inside(package)


def test_modules_and_functions_are_short_enough_to_be_read():
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert {str(it) for it in files if len(it.read_text().splitlines()) > MOST_LINES} == set()
    long = {
        f"{path.relative_to(ROOT)}: {it.name}"
        for path in files
        for it in functions(path)
        if lines_of_code(it) > MOST_LINES_OF_A_FUNCTION
    }
    assert long == set()


def test_few_packages_import_one_another():
    graph = grimp.build_graph(*PACKAGES)

    def package(module: str) -> str:
        root, *rest = module.split(".")
        return f"{root}.{rest[0]}" if root == "bayes_clv" and rest else root

    imports = {
        (package(importer), package(imported))
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
    }
    pairs = {(importer, imported) for importer, imported in imports if importer != imported}
    assert ("bayes_clv.inference", "bayes_clv.posterior") in pairs
    assert len(pairs) <= MOST_PAIRS, sorted(pairs)


def test_every_file_that_is_not_python_is_shipped_with_its_package():
    patterns = PROJECT["tool"]["setuptools"]["package-data"]
    shipped = {
        path for name in PACKAGES for glob in patterns[name] for path in (ROOT / name).glob(glob)
    }
    inside = [
        path for path in files_of_the_project() if path.relative_to(ROOT).parts[0] in PACKAGES
    ]
    data = {path for path in inside if path.suffix != ".py"}
    assert ROOT / "bayes_clv" / "py.typed" in data
    assert data <= shipped


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make on this machine")
@pytest.mark.parametrize("command", [["make"], ["make", "help"]], ids=" ".join)
def test_make_lists_every_task(command):
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    assert set(re.findall(r"^ +make ([\w-]+) ", answer.stdout, flags=re.MULTILINE)) == TASKS


def test_the_contributors_guide_explains_every_task():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert {task for task in TASKS if f"`make {task}" not in text} == set()


def test_no_file_of_the_project_holds_the_address_of_a_package_registry():
    files = files_of_the_project()
    assert ROOT / "constraints.txt" in files
    assert [str(path) for path in files if REGISTRY.search(path.read_bytes())] == []
