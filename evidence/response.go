package evidence

// KindResponse is how an endpoint answered from the first to the last connection
// of a scan (active).
const KindResponse Kind = "response"

// ResponseFacts are how an endpoint bore a scan, as the scan's own connections
// show it. A connection that was not accepted counts only after one was.
type ResponseFacts struct {
	Accepted int `json:"accepted"`          // connections
	Answered int `json:"answered"`          // of them, those on which at least a byte came
	Missed   int `json:"missed,omitzero"`   // attempts that were refused or not answered
	Refused  int `json:"refused,omitzero"`  // of them, those that were refused
	InARow   int `json:"in_a_row,omitzero"` // the most of them with none accepted between
	AtEnd    int `json:"at_end,omitzero"`   // those after which none was accepted
	// First and Last are how long connecting took at first and by the end, up to
	// three connections each and none of them twice, in microseconds.
	First []int64 `json:"first_us"`
	Last  []int64 `json:"last_us,omitzero"`
	// After is what came of the connection that was made after the last probe of
	// the device, and closed at once; empty: none was made to this endpoint.
	After Result `json:"after,omitzero"`
	// Stopped says why the scan left the device alone before its end.
	Stopped string `json:"stopped,omitzero"`
}
