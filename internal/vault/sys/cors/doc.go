// Package cors serves sys/config/cors: which origins' pages browsers may let speak
// to this vault. Package server/cors tells the browsers.
//
// Start reading at Routes.
package cors
