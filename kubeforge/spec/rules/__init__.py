"""The rules of `spec.validate`, one module per subject; each rule a function (spec, inventory) -> problems."""
