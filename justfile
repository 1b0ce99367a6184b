# Each recipe is what CI runs, one to one; `just --list` shows them.

# Everything that must hold before a change lands.
test:
    cargo xtask test

# One stage of it: format, arrows, clippy, sqlite, postgres, endpoints, e2e, conformance.
stage NAME:
    cargo xtask test {{ NAME }}

# Run the server from the working tree.
run *ARGUMENTS:
    cargo run --release -- {{ ARGUMENTS }}

# Build the book under docs/.
docs:
    mdbook build docs
