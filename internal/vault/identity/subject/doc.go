// Package subject is an entity as requests see it: its policies with those of all
// its groups, and what the templates of policies stand for.
//
// Start reading at Cache.Get.
package subject
