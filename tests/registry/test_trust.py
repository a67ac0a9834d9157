import pytest

from modelstac.catalog.errors import InvalidItemError, MissingPackageError, SpecError, UntrustedError
from modelstac.registry.trust.policy import DEFAULT_POLICY

ITEM = "toy-1.0.0-torch"


def test_default_allows_the_builders_of_our_architectures() -> None:
    build = DEFAULT_POLICY.builder("modelstac.training.architectures.convlstm_torch:build", item_id=ITEM)
    assert build.__name__ == "build"


@pytest.mark.parametrize(
    "entry_point",
    [
        "os:system",
        "subprocess:run",
        "builtins:exec",
        "modelstac.catalog.backends.storage:Folder",
        "modelstac.training.architecturesevil:build",
        "smooth_models:build",
    ],
)
def test_default_refuses_everything_else_before_importing_it(architecture: str, entry_point: str) -> None:
    with pytest.raises(UntrustedError, match="allow-list"):
        DEFAULT_POLICY.builder(entry_point, item_id=ITEM)


@pytest.mark.parametrize("entry_point", [None, "", "module", "a:b:c", "a b:c", "../x:y", "a.:b", "a:b.c", "a:b()"])
def test_malformed_entry_point_is_named(entry_point: str | None) -> None:
    with pytest.raises(InvalidItemError, match=r"expected 'package\.module:function'"):
        DEFAULT_POLICY.builder(entry_point, item_id=ITEM)


def test_user_adds_a_package(architecture: str) -> None:
    assert DEFAULT_POLICY.allowing("smooth_models").builder(architecture, item_id=ITEM).__name__ == "build"


@pytest.mark.parametrize("name", ["check_call", "subprocess", "_private", "Smooth", "nn"])
def test_only_functions_of_the_module_itself_are_called(architecture: str, name: str) -> None:
    policy = DEFAULT_POLICY.allowing("smooth_models")
    with pytest.raises((UntrustedError, InvalidItemError), match=f"smooth_models:{name}"):
        policy.builder(f"smooth_models:{name}", item_id=ITEM)


def test_missing_function_and_missing_package_are_named() -> None:
    with pytest.raises(InvalidItemError, match="no such function"):
        DEFAULT_POLICY.builder("modelstac.training.architectures.convlstm_torch:nothing", item_id=ITEM)
    with pytest.raises(MissingPackageError, match="not_installed_here"):
        DEFAULT_POLICY.allowing("not_installed_here").builder("not_installed_here.models:build", item_id=ITEM)


def test_what_the_caller_trusts_is_logged_and_no_more_than_he_says(
    architecture: str, caplog: pytest.LogCaptureFixture
) -> None:
    policy = DEFAULT_POLICY.trusting("entrypoint:smooth_models", "operators:com.example")
    assert policy.builder(architecture, item_id=ITEM).__name__ == "build"
    assert policy.operator_domains - DEFAULT_POLICY.operator_domains == {"com.example"}
    assert [r.getMessage().split()[1] for r in caplog.records] == ["entrypoint:smooth_models", "operators:com.example"]
    with pytest.raises(UntrustedError, match="trust='entrypoint:os'"):
        policy.builder("os:system", item_id=ITEM)


@pytest.mark.parametrize("word", ["", "yes", "pickle:", "Lambda", "entrypoint", "entrypoint:", "custom:", "code:x"])
def test_trust_that_is_not_understood_is_refused(word: str) -> None:
    with pytest.raises(SpecError, match="entrypoint:PACKAGE"):
        DEFAULT_POLICY.trusting(word)
