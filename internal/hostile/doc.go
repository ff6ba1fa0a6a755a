// Command hostile is a peer that misbehaves: it says that it holds all of a file
// and then sends wrong bytes, nothing, or hardly anything. scripts/netlab.sh
// measures with it what such peers cost a download.
package main
