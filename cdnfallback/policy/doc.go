// Package policy decides when origin bytes may be spent, and why. It is pure;
// see Policy.
package policy
