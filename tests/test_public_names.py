"""`import assay` provides every public name, and imports each only when it is first used."""

import subprocess
import sys

import pytest

import assay


@pytest.mark.parametrize("name", assay.__all__)
def test_a_public_name_is_what_its_module_defines(name):
    value = getattr(assay, name)
    assert value.__name__ == name
    assert getattr(sys.modules[value.__module__], name) is value


def test_public_names_are_listed_in_order():
    assert assay.__all__ == sorted(assay.__all__)
    assert set(assay.__all__) <= set(dir(assay))


def test_a_name_that_there_is_not_is_refused_with_those_that_there_are():
    with pytest.raises(AttributeError, match=r"has no attribute 'Clinet'; it has .*Client"):
        _ = assay.Clinet


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        ("import assay", ("torch", "ray", "pandas", "pyarrow", "pydantic")),
        ("from assay import AssayError, InvalidInput, open_store, parse", ("torch", "ray", "pandas")),
        ("from assay import freeze", ("ray", "scipy")),
    ],
)
def test_nothing_is_loaded_before_it_is_needed(code, unwanted):
    script = f"import sys\n{code}\nprint(*[name for name in {unwanted} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout.split() == []
