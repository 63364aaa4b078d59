//go:build !race

package all_test

// raceDetector reports whether the race detector watches the tests.
const raceDetector = false
