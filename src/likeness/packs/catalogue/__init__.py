"""The packs that Likeness knows: one TOML file each, in the format of `likeness.packs.manifest`."""
