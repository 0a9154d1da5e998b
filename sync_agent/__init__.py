"""The sync agent: takes the kiosks' records, applies the registry's rules exactly once, answers, and shows the fleet."""
