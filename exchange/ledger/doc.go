// Package ledger decides whom to serve next: the tit-for-tat ledger. It is
// pure; see Ledger.
package ledger
