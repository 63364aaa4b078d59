// Package flawprobe tries whether a TLS server has one of three old flaws of its
// software: Heartbleed, injection of a change of cipher, and ROBOT.
//
// It is for devices that treat nobody, as the operator says by asking for it. The
// trials are as harmless as they can be made: the heartbeat asks for four bytes
// more than it brings, and those four are not kept; nothing is decrypted, no
// session is taken over, no trial is repeated but to confirm a suspicion.
//
// Invariant: yes and no follow from what the server answered. Silence where an
// answer would have decided is unknown.
package flawprobe
