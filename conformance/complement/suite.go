// Package complement pins the version of Complement that Roost is measured with.
package complement

import _ "github.com/matrix-org/complement"
