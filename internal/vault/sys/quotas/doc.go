// Package quotas serves sys/quotas/: limits of rates and of counts of leases.
//
// Start reading at Routes.
package quotas
