// Package active runs a plan: it hands probers their connections, holds every
// one of them to the limits of the plan, and writes a ledger of what was sent
// and of what was not.
//
// It speaks no protocol and judges nothing; probers observe, the [Ledger]
// keeps. Nothing reaches the network but through the gate of this package.
//
// Invariant: no connection is made that the plan does not allow: none to a
// denied endpoint, never two to one asset at a time, never faster than the
// rates, none after the breaker of the asset has opened or the context has
// ended; and every planned probe ends as exactly one row of the ledger.
package active
