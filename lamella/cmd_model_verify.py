"""`lamella model verify`."""

from __future__ import annotations

import argparse

from line.config import Site


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="bundle: a folder, or name, or name@version")
    parser.add_argument("--provider", choices=["auto", "cpu", "cuda"], default="auto", help="where to run it")


def work(options: argparse.Namespace, site: Site) -> int:
    """A bundle that is altered or answers differently here raises BundleError."""
    from lamella.bundles import bundle_folder
    from line.bundle import open_bundle
    from vision.session import ModelSession, verify_golden

    bundle = open_bundle(bundle_folder(options.model, site.state_dir))
    with ModelSession(bundle, options.provider) as session:
        worst = verify_golden(session)
        providers = ", ".join(session.provenance.providers)
    print(f"{bundle.ref} {bundle.digest[:12]}: {len(bundle.manifest.files)} files as released; golden answers within "
          f"{worst:.3g} of {bundle.manifest.golden_tolerance:.3g} on {providers}")  # fmt: skip
    return 0
