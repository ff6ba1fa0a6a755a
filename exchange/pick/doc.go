// Package pick decides what to ask of whom: rarity, deadlines, endgame, slow
// peers, LAN first. It is pure; see Picker.
package pick
