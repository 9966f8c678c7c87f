"""The tests: folders as in src/ganforge."""
