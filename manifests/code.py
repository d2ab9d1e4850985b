"""Code: the files and packages that decide what a variant or a scorer answers, as far as they can be read from the source."""

from assay.manifests.base import Digest, Manifest, Named

Digests = Named[Digest]
"""Digests by name."""


class Code(Manifest):
    """The code of an entrypoint. Its digest is the `code_digest` of a variant or the `scorer_digest` of a metric.

    No path on the machine is part of it, and line endings of Python source are normalised, so that another checkout of
    the same tree has the same digest.
    """

    modules: Digests
    """The sha256 of the source of each module of the user's own tree that the entrypoint imports, by module name."""
    distributions: Named[str]
    """The version of each installed distribution that one of these modules imports."""
    files: Digests
    """The sha256 of each file that the variant names in `code`, by its path relative to the experiment's folder."""

    def changes(self, now: "Code") -> tuple[str, ...]:
        """What is different in another state of the code, one sentence per module, distribution or file.

        Args:
            now: The other state.
        """
        return tuple(
            f"{kind} {name}{_change(before.get(name), after.get(name))}"
            for kind, before, after in (
                ("module", self.modules, now.modules),
                ("distribution", self.distributions, now.distributions),
                ("file", self.files, now.files),
            )
            for name in sorted({*before, *after})
            if before.get(name) != after.get(name)
        )


def _change(before: str | None, after: str | None) -> str:
    if before is None:
        return " is new"
    if after is None:
        return " is no longer used"
    return " has changed" if after.startswith("sha256:") else f": {before} -> {after}"
