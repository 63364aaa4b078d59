package evidence

// SuiteClass sorts TLS cipher suites by the weakness that a rule asks about.
// A suite may belong to several classes.
type SuiteClass string

// The classes of weakness.
const (
	ClassNULL      SuiteClass = "null"       // no encryption
	ClassAnonymous SuiteClass = "anonymous"  // no server authentication
	ClassExport    SuiteClass = "export"     // 40- and 56-bit export suites
	ClassDES       SuiteClass = "des"        // single DES
	ClassRC4       SuiteClass = "rc4"        // RFC 7465
	ClassRC2       SuiteClass = "rc2"        //
	Class3DES      SuiteClass = "3des"       // 64-bit blocks (Sweet32)
	ClassIDEA      SuiteClass = "idea"       // 64-bit blocks
	ClassStaticRSA SuiteClass = "static-rsa" // RSA key transport, no forward secrecy
	ClassDHE       SuiteClass = "dhe"        // finite-field ephemeral Diffie-Hellman
	ClassCBC       SuiteClass = "cbc"        // sound cipher, MAC-then-encrypt
)
