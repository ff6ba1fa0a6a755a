package node

// fileLimit is -1: Windows has no limit that matters.
func fileLimit() int64 { return -1 }
