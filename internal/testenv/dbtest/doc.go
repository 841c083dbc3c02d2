// Package dbtest runs real databases for tests: PostgreSQL, MariaDB and Redis as
// Debian packages them (postgresql, mariadb-server, redis-server), each at most
// once per test binary, in a folder of its own, on an address of the loopback that is their own.
//
// As root a missing one is installed; otherwise the test is skipped and says
// what is missing. The kernel kills them when the test binary ends, however it
// ends; folders that a crash left behind are removed by the next run.
//
//	func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }
//
//	func TestX(t *testing.T) {
//		pg := dbtest.PostgreSQL(t)
//		connect(pg.URL("app", "secret"))
//	}
//
// Start reading at Server.
package dbtest
